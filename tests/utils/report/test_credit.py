"""What each turn earned, paid and was judged: worked out again from a run's record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import records
from utils.records import ConversationRecord, VerdictRecord
from utils.report.conversations import body
from utils.report.credit import turn_credit
from utils.runs.read import Run

TRAIN = {"num_samples_per_problem": 4, "credit": "turn", "baseline": "leave_one_out",
         "scale_rewards": "none"}  # fmt: skip


def failing(count: int = 8) -> list[ConversationRecord]:
    """The first tutor turn of each conversation fails a rule and is withheld."""
    rows = records(count, samples=4, split="train", thinking=True)
    for row in rows:
        told = next(m for m in row.messages if m.role == "teacher")
        told.verdicts = {"guides": VerdictRecord(decision="REJECT", reasoning="it tells")}
        told.withheld, told.visible, told.cost = True, "", 0.5
    return rows


def run_of(rows: list[ConversationRecord], **train: Any) -> Run:
    return Run(folder=Path("x"), name="x", records=rows, config={"train": TRAIN | train})


def test_credit_of_a_run() -> None:
    rows = failing()
    found = turn_credit(run_of(rows), {0})
    assert set(found) == {r.key for r in rows}
    for row in rows:
        tutors = [m for m in row.messages if m.role == "teacher"]
        assert len(found[row.key]) == len(tutors)
        assert found[row.key][0] == -0.5
    group = [r.rewards["total"] for r in rows[:4]]
    whole = turn_credit(run_of(rows, credit="conversation"), {0})
    expected = group[0] - sum(group[1:]) / 3
    assert whole[rows[0].key][0] == pytest.approx(expected - 0.5)


def test_only_what_was_trained_and_is_shown() -> None:
    rows = failing()
    assert turn_credit(run_of(rows), {1}) == {}
    held_out = [r.model_copy(update={"split": "eval"}) for r in rows]
    assert turn_credit(run_of(held_out), {0}) == {}
    assert turn_credit(Run(folder=Path("x"), name="x", records=rows), {0}) == {}


def test_a_run_from_before_has_its_conversations_credit() -> None:
    rows = records(8, samples=4, split="train")
    run = Run(folder=Path("x"), name="x", records=rows,
              config={"train": {"num_samples_per_problem": 4}})  # fmt: skip
    found = turn_credit(run, {0})
    assert all(len(set(values)) <= 1 for values in found.values()) and len(found) == 8


def test_the_page_shows_what_nobody_heard() -> None:
    [row] = failing(1)
    shown = [m for m in body(row, None, [-0.5, 0.25, 0.25, 0.25])["messages"]
             if m["role"] == "teacher"]  # fmt: skip
    assert shown[0]["withheld"] and shown[0]["cost"] == 0.5 and shown[0]["credit"] == -0.5
    assert shown[0]["text"] and "do not say so" not in shown[0]["text"]
    assert "do not say so" in shown[0]["hidden"]
    assert shown[0]["rules"] == [["guides", "REJECT", "it tells"]]
    assert all("rules" not in m and "withheld" not in m for m in shown[1:])
