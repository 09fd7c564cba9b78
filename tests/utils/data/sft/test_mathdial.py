"""MathDial's conversations as rows of chats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from utils.data.sft.chat_rows import read_chat
from utils.data.sft.mathdial import read_mathdial


def test_all_of_mathdial_converts(shared_data: Path) -> None:
    path = shared_data / "mathdial-test-200.jsonl"
    rows, dropped = read_mathdial(path)
    assert len(rows) == 200
    assert not dropped
    for row in rows:
        read_chat(row)
    text = json.dumps([m for row in rows for m in row["messages"]])
    assert "|EOM|" not in text
    assert not any(f'"({move})' in text for move in ("focus", "probing", "generic", "telling"))
    first = rows[0]["messages"]
    assert first[2] == {
        "role": "assistant",
        "content": "Hi Mariana, please talk me through your solution",
    }
    assert first[-1]["content"] == "Yes, that's it"
    assert "So Julia bought a package of 4 spoons." in first[1]["content"]
    assert rows[0]["answer"] == "10"


def test_mathdial_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"qid": 1, "question": "?"}\n')
    with pytest.raises(ConfigError, match=r"m\.jsonl:1: no column ground_truth"):
        read_mathdial(path)
