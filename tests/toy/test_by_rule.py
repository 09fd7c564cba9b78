"""The toy's students by rule: what they say and solve, at the rates that they are made for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from toy import by_rule
from toy.students import MANNERS
from toy.world import RATES, Sum
from utils.students.moment import Moment, Replies

PROBLEM, OTHER = Sum(4, 7, 3, 8), Sum(5, 6, 1, 7)
OWN = ["Add the ones: 7+8?", "Add the tens: 4+3+1?"]
FOREIGN = [OTHER.say("Add the ones: {b}+{d}?"), OTHER.say("Add the tens: {a}+{c}+1?")]


def rate(student: Replies, turns: Sequence[tuple[str, str]], problem: Sum = PROBLEM) -> float:
    """Share of right solutions, of 600 conversations with these words."""
    right = 0
    for seed in range(600):
        said = student(
            Moment(
                what="solution", problem=problem.text, answer="?", turns=turns, sample=seed % 4,
                seed=seed,
            )
        )  # fmt: skip
        right += rf"\boxed{{{problem.answer}}}" in str(said)
    return right / 600


def heard(words: Sequence[str]) -> list[tuple[str, str]]:
    return [("teacher", turn) for turn in words]


@pytest.mark.parametrize("name", ["plain", "checks_some", "checks_most"])
def test_selectivity_is_exact(name: str) -> None:
    student = getattr(by_rule, name)
    assert rate(student, heard(OWN)) == pytest.approx(0.9, abs=0.04)
    expected = 0.9 - 0.7 * MANNERS[name].checks
    assert rate(student, heard(FOREIGN)) == pytest.approx(expected, abs=0.06)
    assert rate(student, heard(["Keep going!"])) == pytest.approx(0.2, abs=0.05)


def test_what_it_took_in_a_turn_it_takes_in_its_solution() -> None:
    for seed in range(40):
        moment = Moment(what="turn", problem=PROBLEM.text, answer="85", seed=seed,
                        turns=heard(FOREIGN[:1]))  # fmt: skip
        shrugged = by_rule.checks_some(moment) == "Ok."
        solved = [
            by_rule.checks_some(
                Moment(what="solution", problem=PROBLEM.text, answer="85", seed=seed,
                       sample=n, turns=heard(FOREIGN))
            )
            for n in range(40)
        ]  # fmt: skip
        share = sum("{85}" in str(text) for text in solved) / 40
        assert (share < 0.5) == shrugged


def test_the_learner_uses_its_own_words_on_another_sum() -> None:
    def hidden(*own: str) -> list[tuple[str, str]]:
        return [turn for word in own for turn in (("teacher", "(hidden)"), ("student", word))]

    led = hidden("7+8=15", "4+3+1=8")
    assert rate(by_rule.learner, led, OTHER) == pytest.approx(RATES["both"], abs=0.04)
    assert rate(by_rule.learner, hidden("I see.", "Ok."), OTHER) == pytest.approx(0.2, abs=0.05)
    assert rate(by_rule.plain, led, OTHER) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("own", "state"),
    [
        (["7+8=15"], "ones"),
        (["4+3+1=8"], "tens"),
        (["4+3+1=8", "7+8=15"], "both"),
        (["7+8=15, 4+3+1=8"], "both"),
        (["15", "I see."], "vacuous"),
    ],
)
def test_what_was_worked_out_is_read_from_its_words(own: list[str], state: str) -> None:
    assert by_rule.worked_out(own) == state


def test_pressure_has_as_many_messages_as_rounds() -> None:
    def words(student: Replies, spoken: int) -> str | None:
        return student(
            Moment(what="turn", problem=PROBLEM.text, answer="85", rounds=2, spoken=spoken,
                   turns=heard(OWN[:1]))
        )  # fmt: skip

    assert [words(by_rule.direct, n) for n in range(3)] == ["Answer?", "Answer?", "15"]
    assert [words(by_rule.shaped, n) for n in range(3)] == ["All?", "All?", "15"]


def test_a_bare_problem_is_solved_as_by_anybody() -> None:
    solved = [
        by_rule.learner(Moment(what="initial", problem=PROBLEM.text, answer="85", seed=seed))
        for seed in range(400)
    ]
    assert sum("{85}" in str(text) for text in solved) / 400 == pytest.approx(0.2, abs=0.05)
