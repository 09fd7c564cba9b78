"""The conversations that make the toy's models, and the tokenizer that is learnt from them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from toy.conversations import student, tutor
from toy.tokenizer import END, START, build
from toy.world import RATES, Sum, heard
from utils.thinking import says_the_end, thinking_is_well_formed, visible_text

FOLDER = Path(__file__).resolve().parents[2] / "toy" / "model_config"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build()


def test_the_seed_decides() -> None:
    assert list(student("train", 1, 20)) == list(student("train", 1, 20))
    assert list(student("train", 1, 20)) != list(student("train", 2, 20))
    assert list(tutor("train", 1, 20)) == list(tutor("train", 1, 20))


def test_the_student_solves_as_often_as_its_state_says() -> None:
    seen: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for row in student("train", 0, 3000):
        first, *_, last = row["messages"]
        turns = [m["content"] for m in row["messages"] if m["role"] == "user"]
        state = heard(turns) if first["role"] == "system" else "cold"
        seen[state] += 1
        right[state] += rf"\boxed{{{Sum.parse(first['content']).answer}}}" in last["content"]
    for state in set(RATES) - {"told"}:  # what is told is often wrong in this data
        assert right[state] / seen[state] == pytest.approx(RATES[state], abs=0.06), state


def test_the_tutor_has_mixed_habits() -> None:
    states: Counter[str] = Counter()
    rows = list(tutor("train", 0, 1000, thinking=0.0, demanding=0.0))
    for row in rows:
        turns = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
        assert 1 <= len(turns) <= 3
        assert not any(says_the_end(turn) for turn in turns[:-1])
        states[heard(map(visible_text, turns))] += 1
    assert 0.35 < states["told"] / len(rows) < 0.55
    assert 0.04 < states["both"] / len(rows) < 0.16
    assert states["vacuous"] / len(rows) > 0.15


def test_plans_are_well_formed_and_hidden() -> None:
    rows = list(tutor("train", 0, 50, thinking=1.0, demanding=0.0))
    turns = [m["content"] for r in rows for m in r["messages"] if m["role"] == "assistant"]
    assert all(thinking_is_well_formed(turn) for turn in turns)
    assert not any("think" in visible_text(turn) for turn in turns)
    assert all("Think first" in r["messages"][0]["content"] for r in rows)


def test_the_tokenizer_is_made_again_alike(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again, shipped = (
        json.loads((folder / "tokenizer.json").read_text()) for folder in (tmp_path, FOLDER)
    )
    assert again["model"] == shipped["model"]
    text = "What is 47+38?\n\\boxed{85} <end_of_conversation> ümläut"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert [tokenizer.decode([i]) for i in tokenizer.encode("147")] == ["1", "4", "7"]
    assert len(tokenizer) <= 400


def test_the_template_marks_what_the_assistant_says(tokenizer: Any) -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "What is 7+8?"},
        {"role": "user", "content": "15"},
        {"role": "assistant", "content": "Now you."},
    ]
    found = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [i for i, m in zip(found["input_ids"], found["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(marked) == f"What is 7+8?{END}Now you.{END}"
    opened = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, tokenize=False)
    assert opened == f"{START}system\ns{END}\n{START}assistant\n"
