"""The toy's language: sums, hints, what was heard, solutions, and what counts as teaching."""

from __future__ import annotations

from random import Random

import pytest

from toy.problems import all_sums, load, sums
from toy.world import PHRASES, RATES, Sum, heard, own_steps, real_teaching, reply, solve, teaches
from utils.answers.equality import is_correct
from utils.answers.said.leaks import match_leak
from utils.records import ConversationRecord, Message

PROBLEM = Sum(4, 7, 3, 8)  # 47+38 = 85


def record(*tutor_turns: str) -> ConversationRecord:
    messages = [Message(role="teacher", content=t, visible=t) for t in tutor_turns]
    return ConversationRecord(
        problem_id="x", problem=PROBLEM.text, answer=str(PROBLEM.answer), messages=messages
    )


def test_a_sum_reads_its_own_text() -> None:
    assert (PROBLEM.text, PROBLEM.answer) == ("What is 47+38?", 85)
    assert Sum.parse(PROBLEM.text) == PROBLEM
    with pytest.raises(ValueError, match="no sum"):
        Sum.parse("What is 7+8?")


@pytest.mark.parametrize(
    ("turns", "state"),
    [
        ([], "cold"),
        (["You can do it!"], "vacuous"),
        (["What is 7+8?"], "ones"),
        (["Carry the one: 4+3+1?"], "tens"),
        (["Add the ones: 7+8?", "Then 4+3+1?"], "both"),
        (["What is 7+8?", "You get 85."], "told"),
        (["What is 47+38?"], "vacuous"),  # the problem again is no step, and tells nothing
    ],
)
def test_what_a_student_has_heard(turns: list[str], state: str) -> None:
    assert heard(turns) == state


def test_every_phrase_is_heard_as_what_it_is() -> None:
    states = {"tell": "told", "ones": "ones", "tens": "tens", "cheer": "vacuous"}
    for problem in all_sums()[::97]:
        for kind, state in states.items():
            assert {heard([problem.say(p)]) for p in PHRASES[kind]} == {state}, kind


def test_the_student_answers_the_step_that_was_asked() -> None:
    assert [reply(t) for t in ("First, 7+8?", "Then 4+3+1?", "It is 85.", "Good luck!")] == [
        "15", "8", "I see.", "Ok.",
    ]  # fmt: skip


@pytest.mark.parametrize("state", RATES)
def test_solutions_are_right_at_the_rate_of_the_state(state: str) -> None:
    turns = {
        "cold": [], "vacuous": ["Now you."], "ones": ["First, 7+8?"], "tens": ["Then 4+3+1?"],
        "both": ["First, 7+8?", "Then 4+3+1?"], "told": ["It is 85."],
    }[state]  # fmt: skip
    rng = Random(0)
    right = sum(is_correct(solve(PROBLEM, turns, rng), "85") for _ in range(1000)) / 1000
    assert right == pytest.approx(RATES[state], abs=0.05)


def test_a_wrong_result_is_believed() -> None:
    told = [solve(PROBLEM, ["It is 99."], Random(i)) for i in range(200)]
    assert sum(r"\boxed{99}" in s for s in told) > 180


def test_teaching_needs_both_steps_with_the_digits_of_the_problem() -> None:
    assert teaches(record("What is 7+8?", "Then 4+3+1?")) == 1.0
    assert teaches(record("What is 7+8?")) == 0.0
    assert teaches(record("What is 7+9?", "Then 4+3+1?")) == 0.0
    assert teaches(record("What is 4+3?", "Then 7+8+1?")) == 0.0
    assert teaches(record("What is 7+8?", "Then 4+3+1?", "It is 85.")) == 0.0
    assert own_steps(PROBLEM, ["What is 7+8?", "Then 4+3+1?"]) == ["ones", "tens"]


def test_the_rule_says_why() -> None:
    turns = [("teacher", "What is 7+8?"), ("student", "15"), ("teacher", "Then 5+3+1?")]
    verdict = real_teaching(PROBLEM.text, "85", turns)
    assert verdict.decision == "REJECT"
    assert "both" in verdict.reasoning and "ones" in verdict.reasoning


def test_the_general_leak_matcher_sees_tellings_and_only_them() -> None:
    for problem in all_sums()[::97]:
        for kind in ("tell", "ones", "tens", "cheer", "close"):
            for phrase in PHRASES[kind]:
                turns = [("teacher", problem.say(phrase))]
                verdict = match_leak(problem.text, str(problem.answer), turns)
                assert (verdict.decision == "REJECT") == (kind == "tell"), turns


def test_splits_are_disjoint_and_do_not_depend_on_the_seed() -> None:
    train, test = set(sums("train", 1)), set(sums("test", 1))
    assert (len(train), len(test), train & test) == (3245, 400, set())
    assert test == set(sums("test", 2))
    assert sums("test", 1) != sums("test", 2)
    with pytest.raises(ValueError, match="train, test"):
        sums("validation", 0)


def test_rows_say_what_a_problem_needs() -> None:
    rows = list(load("train", 3, count=5))
    assert len(rows) == 5
    for row in rows:
        assert row["answer"] == str(Sum.parse(row["problem"]).answer)
        assert row["id"].startswith("toy-")
