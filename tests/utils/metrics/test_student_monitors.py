"""Monitors that know students: silent on good runs, loud on the faults that they are made for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from utils.metrics.monitors import readings
from utils.metrics.student_monitors import (
    adapts_to_students,
    least_gradient_share,
    least_helped_student,
)
from utils.records import ConversationRecord, Message, Solution

WORDS = {"a": "look where your own work went wrong", "b": "what would a wrong way be here"}


def conversation(number: int, student: str, words: str, **fields: object) -> ConversationRecord:
    said = f"{words} {number}"
    values: dict[str, object] = {
        "problem_id": f"p{number // 4}",
        "sample": number % 4,
        "problem": "What is 1+1?",
        "answer": "2",
        "split": "train",
        "student_persona": student,
        "student_kind": "archetype",
        "messages": [Message(role="teacher", content=said, visible=said)],
        "initial_solutions": [Solution(text="", correct=False)],
        "solutions": [Solution(text="", correct=number % 2 == 0)],
        "rewards": {"solve": float(number % 2 == 0), "total": float(number % 2 == 0)},
    }
    return ConversationRecord(**(values | fields))  # type: ignore[arg-type]


def run(
    say: Callable[[str], str], fields: Callable[[str], dict[str, object]] = lambda s: {}
) -> list[ConversationRecord]:
    """Eight groups of four, students in turn."""
    return [conversation(n, s, say(s), **fields(s)) for n in range(32) for s in ["ab"[n // 4 % 2]]]


def test_a_tutor_that_tells_students_apart() -> None:
    good = run(lambda student: WORDS[student])
    assert (adapts_to_students(good).mean or 0.0) > 0.5
    assert least_helped_student(good).mean == 0.5
    assert least_gradient_share(good).mean == 1.0
    assert not [r.name for r in readings(good) if r.alarm and "student" in r.means]


def test_the_same_to_everybody_rings() -> None:
    found = {r.name: r for r in readings(run(lambda student: WORDS["a"]))}
    assert found["adapts_to_students"].now.mean == pytest.approx(0.0)
    assert "the same to every student" in (found["adapts_to_students"].alarm or "")


def test_a_student_whom_nobody_helps_rings() -> None:
    def lost(student: str) -> dict[str, object]:
        return {"solutions": [Solution(text="", correct=False)]} if student == "b" else {}

    found = {r.name: r for r in readings(run(lambda s: WORDS[s], lost))}
    assert found["least_helped_student"].now.mean == 0.0
    assert found["least_helped_student"].alarm


def test_a_student_without_gradient_rings() -> None:
    def flat(student: str) -> dict[str, object]:
        return {"rewards": {"total": 0.0}} if student == "b" else {}

    found = {r.name: r for r in readings(run(lambda s: WORDS[s], flat))}
    assert found["least_gradient_share"].now.mean == 0.0
    assert "drifted" in (found["least_gradient_share"].alarm or "")


def test_unnamed_students_and_a_single_one_are_not_watched() -> None:
    nameless = run(lambda s: WORDS[s], lambda s: {"student_kind": ""})
    single = run(lambda s: WORDS[s], lambda s: {"student_persona": "a"})
    for records in (nameless, single):
        for value in (adapts_to_students, least_helped_student, least_gradient_share):
            assert value(records).mean is None
