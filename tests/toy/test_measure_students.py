"""Measuring the many students: what they are asked, and what counts as right."""

from __future__ import annotations

import pytest

from toy.measure_students import CASES, TRANSFER, made_for, student_rates, table
from toy.students import MANNERS
from toy.world import Sum


class Carries:
    """A student that always says "7+8=15" and always remembers the carry, or never does."""

    def __init__(self, carry: int) -> None:
        self.carry = carry
        self.views: list[list[str]] = []

    def answer(self, chats: list[list[dict[str, str]]], max_tokens: int) -> list[str]:
        self.views += [[m["content"] for m in chat] for chat in chats]
        return [self._say(chat) for chat in chats]

    def _say(self, chat: list[dict[str, str]]) -> str:
        last = chat[-1]["content"]
        if "Solve it" not in last:
            return "7+8=15"
        problem = Sum.parse(last if "What is" in last.rpartition("}")[2] else chat[0]["content"])
        return rf"\boxed{{{problem.answer - 10 * (1 - self.carry)}}}"


@pytest.mark.parametrize("carry", [0, 1])
def test_right_is_what_solves_the_sum_that_was_asked(carry: int) -> None:
    student = Carries(carry)
    found = student_rates(student, 5, ["plain", "learner"])
    assert {cell["measured"] for row in found.values() for cell in row.values()} == {float(carry)}
    assert set(found["plain"]) == set(CASES)
    assert set(found["learner"]) == set(CASES) | set(TRANSFER)
    assert table(found).row_count == 2


def test_the_transfer_test_hides_the_tutor_and_keeps_the_student() -> None:
    student = Carries(1)
    student_rates(student, 3, ["learner"])
    views = [view for view in student.views if "(hidden)" in view]
    assert len(views) == 3 * len(TRANSFER)
    for system, *talk, last in views:
        assert system.endswith("Wants to know how.")
        assert talk == ["(hidden)", "7+8=15"] * 2
        assert last.startswith("(hidden)\n\nSolve it in \\boxed{} What is ")
        assert Sum.parse(last) != Sum.parse(system)


def test_rates_that_students_are_made_for() -> None:
    def rate(name: str, case: str) -> float:
        return made_for(MANNERS[name], (CASES | TRANSFER)[case], transfer=case in TRANSFER)

    assert rate("plain", "another sum's") == pytest.approx(0.9)
    assert rate("checks_most", "another sum's") == pytest.approx(0.3, abs=0.03)
    assert rate("checks_some", "another sum's") == pytest.approx(0.6, abs=0.03)
    assert rate("tens_first", "tens, ones") == pytest.approx(0.9)
    assert rate("tens_first", "ones, tens") == pytest.approx(0.35)
    assert rate("learner", "led, then another sum") == pytest.approx(0.9)
    assert rate("learner", "told, then another sum") == pytest.approx(0.2)
