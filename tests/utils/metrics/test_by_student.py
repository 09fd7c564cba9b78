"""Metrics by student: each one, those met in training, those held out, and all."""

from __future__ import annotations

import pytest

from tests.synthetic import records
from utils.metrics.metric_groups import to_json
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord


def named() -> list[ConversationRecord]:
    rows = records(120, samples=3)
    for number, row in enumerate(rows):
        student = "abc"[number % 3]
        row.student_persona, row.student_kind = student, "archetype"
        row.student_held_out = student == "c"
    return rows


def test_rows_are_the_students_and_what_they_have_in_common() -> None:
    rows = named()
    found = to_json(rows)
    table = found["by"]["student"]
    assert list(table) == ["(overall)", "(in distribution)", "(held out)", "a", "b", "c"]
    assert "persona" not in found["by"]
    assert table["(overall)"]["solve_after"] == found["solve_after"]
    assert table["(held out)"] == table["c"]
    both = (table["a"]["solve_after"]["mean"] + table["b"]["solve_after"]["mean"]) / 2
    assert table["(in distribution)"]["solve_after"]["mean"] == pytest.approx(both)
    assert table["a"]["leaked"]["clusters"] == 40  # of problems
    assert table["a"]["delta"]["low"] < table["a"]["delta"]["mean"] < table["a"]["delta"]["high"]


def test_older_records_have_personas_alone() -> None:
    found = to_json(records(30))
    assert "student" not in found["by"] and "persona" in found["by"]


def test_curves_by_student() -> None:
    found = rollout_metrics(named())
    assert {"students/a/solve_after", "students/(held out)/leaked"} <= found.keys()
    assert not [name for name in rollout_metrics(records(30)) if name.startswith("students/")]
