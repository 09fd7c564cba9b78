"""Conversations in other tools' formats: everything that they can hold is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.synthetic import records
from utils.export.command import choose, export, main
from utils.export.filters import Filter
from utils.export.rows import chat, scores
from utils.records import ConversationRecord, VerdictRecord
from utils.runs.read import Run, open_run


def kept() -> list[ConversationRecord]:
    """Evaluated, trained and a person's; one with a peer, one whose verdict never came."""
    found = [
        *records(12, thinking=True),
        *records(4, split="train", step=3),
        *[r.model_copy(update={"split": "human"}) for r in records(2)],
    ]
    found[0].messages[0].content = "<think>a plan</think>Hello <end_of_conversation>"
    found[0].messages[0].visible = "Hello"
    found[0].messages[-1].speaker = "Ann"
    found[1].verdicts["does_not_leak_answer"] = [VerdictRecord(decision=None, raw="?")]
    found[2].solutions = []
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "a-run"
    folder.mkdir()
    (folder / "conversations.jsonl").write_text("".join(r.to_json() + "\n" for r in kept()))
    settings = {
        "teacher_model": {"model_name_or_path": "/home/somebody/models/tutor"},
        "generation": {"max_turns": 16},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return open_run(folder)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def test_messages_are_chats_with_flat_columns(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "chats.jsonl"
    assert main([str(run.folder), "--to", "messages", "--out", str(out)]) == 0
    rows = {row["id"]: row for row in lines(out)}
    assert len(rows) == len(run.records) == 18
    for record in run.records:
        where = f"a-run/{record.split}/{record.step}/{record.problem_id}/{record.sample}"
        row = rows[where]
        roles = {"teacher": "assistant", "student": "user"}
        assert [(m["role"], m["content"]) for m in row["messages"]] == [
            (roles[m.role], m.visible) for m in record.messages
        ]
        assert row["reward"] == record.rewards.get("total")
    first = next(r for r in rows.values() if r["messages"][0]["content"] == "Hello")
    assert first["messages"][0]["reasoning_content"] == "a plan"
    assert first["messages"][-1]["name"] == "Ann"


def test_what_cannot_be_said_is_empty_and_never_nought(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "chats.jsonl"
    export(choose([run], Filter()), "messages", out)
    rows = list(lines(out))
    assert sum(row["leaked"] is None for row in rows) == 1
    assert sum(row["verdict_does_not_leak_answer"] is None for row in rows) == 1
    assert sum(row["solve_after"] is None for row in rows) == 1


@pytest.mark.parametrize(
    ("wanted", "test"),
    [
        (Filter(split="human"), lambda r: r.split == "human"),
        (Filter(step=3, type="guided"), lambda r: r.step == 3 and r.type == "guided"),
        (Filter(stop="tutor_ended"), lambda r: r.stop_reason == "tutor_ended"),
        (Filter(leaked="yes"), lambda r: scores(r)["leaked_any"] == 1),
        (Filter(accepted="accepted"), lambda r: scores(r)["rejected_any"] == 0),
        (Filter(accepted="missing"), lambda r: scores(r)["missing"] == 1),
        (Filter(solved="half"), lambda r: (scores(r)["solve_after"] or 0) >= 0.5),
        (Filter(least=0.3, most=0.9), lambda r: 0.3 <= r.rewards["total"] <= 0.9),
        (Filter(text="A PLAN"), lambda r: "a plan" in r.messages[0].content),
    ],
)  # fmt: skip
def test_filters_are_the_reports(run: Run, wanted: Filter, test: Any) -> None:
    found = [record for _, record in choose([run], wanted)]
    assert found == [r for r in run.records if test(r)]
    assert 0 < len(found) < len(run.records)


def test_the_hub_folder_is_read_by_datasets(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    out = tmp_path / "hub"
    arguments = [str(run.folder), "--to", "hf", "--out", str(out), "--license", "cc-by-4.0"]
    assert main(arguments) == 0
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == {
        "eval": 12, "human": 2, "train": 4,
    }  # fmt: skip
    by_id = {row["id"]: row for part in loaded.values() for row in part}
    for record in run.records:
        where = f"a-run/{record.split}/{record.step}/{record.problem_id}/{record.sample}"
        shown = [{k: v for k, v in m.items() if v is not None} for m in by_id[where]["messages"]]
        assert shown == chat(record)
        for name, value in scores(record).items():
            assert by_id[where][name] == value
    text = (out / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "cc-by-4.0" and "| solve_after |" in text
    assert "max_turns: 16" in text and "somebody" not in text and str(tmp_path) not in text


def test_what_cannot_be_is_refused_in_a_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("precious")
    base = [str(run.folder), "--to", "messages", "--out"]
    for arguments, message in (
        ([*base, str(there)], "is there already"),
        ([*base, str(tmp_path / "x"), "--text", "no such words"], "nothing is written"),
        ([str(tmp_path / "no"), "--to", "hf", "--out", "x"], "no run folder"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert there.read_text() == "precious" and not (tmp_path / "x").exists()
