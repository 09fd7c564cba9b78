"""The toy's student for sessions: what he keeps, what he does not, and what messages take away."""

from __future__ import annotations

from statistics import fmean

import pytest

from toy.forgets import Mind, forgets
from toy.world import RATES, Sum
from utils.students.moment import Moment, Talk

FIRST, NEXT = Sum(2, 7, 3, 5), Sum(4, 8, 1, 6)
LED = [("teacher", "Add the ones: 7+5?"), ("student", "12"), ("teacher", "Add the tens: 2+3+1?")]
TOLD = [("teacher", "It is 62.")]
LEFT = [("teacher", "Your turn.")]
COLD, BOTH = RATES["cold"], RATES["both"]


def held(*talks: list[tuple[str, str]], forgetting: float = 0.0) -> float:
    mind = Mind(forgetting=forgetting)
    for turns in talks:
        mind = mind.after(turns)
    return mind.held


@pytest.mark.parametrize(
    ("talks", "wanted"),
    [
        ([], 0.0),
        ([LED], 0.5),
        ([LED[:1]], 0.25),
        ([TOLD], 0.0),
        ([LEFT], 0.0),  # nothing to practise
        ([LED, TOLD], 0.5),
        ([LED, LED], 0.5),  # led again: no firmer
        ([LED, LEFT], 0.75),  # left to do it: 1 - (1 - .5)^2
    ],
)
def test_what_is_held_after_talks(talks: list[list[tuple[str, str]]], wanted: float) -> None:
    assert held(*talks) == pytest.approx(wanted)


def test_each_message_takes_its_share() -> None:
    assert held(LED, forgetting=0.1) == pytest.approx(0.5 * 0.9**3)
    assert held(LED, LEFT, forgetting=0.1) == pytest.approx((1 - (1 - 0.5 * 0.9**3) ** 2) * 0.9)


def solved(replies: object, *earlier: list[tuple[str, str]], turns: object = ()) -> float:
    """The share of 2,000 solutions of NEXT that are right."""
    right = rf"\boxed{{{NEXT.answer}}}"
    moments = (
        Moment(
            what="solution", problem=NEXT.text, answer=str(NEXT.answer), turns=turns,  # type: ignore
            earlier=[Talk(problem=FIRST.text, answer="62", turns=t) for t in earlier], sample=i,
        )
        for i in range(2000)
    )  # fmt: skip
    return fmean(right in replies(moment) for moment in moments)  # type: ignore[operator]


def test_an_over_helpful_tutor_wins_the_first_and_loses_the_last() -> None:
    student = forgets(0.0)
    told = [("teacher", f"It is {NEXT.answer}.")]
    assert solved(student, turns=told) == pytest.approx(RATES["told"], abs=0.02)
    assert solved(student, TOLD, TOLD) == pytest.approx(COLD, abs=0.03)
    assert solved(student, LED, LED) == pytest.approx(COLD + (BOTH - COLD) * 0.5, abs=0.03)
    assert solved(student, LED, LEFT) == pytest.approx(COLD + (BOTH - COLD) * 0.75, abs=0.03)


def test_who_forgets_more_keeps_less() -> None:
    rates = [solved(forgets(f), LED, LED) for f in (0.0, 0.1, 0.5)]
    wanted = [COLD + (BOTH - COLD) * 0.5 * (1 - f) ** 3 for f in (0.0, 0.1, 0.5)]
    assert rates == pytest.approx(wanted, abs=0.03)


def test_before_any_talk_he_is_as_every_toy_student() -> None:
    student = forgets(0.1)
    moment = Moment(what="initial", problem=NEXT.text, answer=str(NEXT.answer))
    assert r"\boxed{" in (student(moment) or "")
    asked = Moment(what="turn", problem=FIRST.text, answer="62", turns=LED[:1])
    assert student(asked) == "12"
