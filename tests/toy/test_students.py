"""The toy's many students: what each takes, says and knows, and what makes them."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

import pytest

from toy.student_conversations import HIDDEN, comparing, students, talk
from toy.students import MANNERS
from toy.world import RATES, SHRUG, Sum, asks_of_another, heard, prompt

PROBLEM, OTHER = Sum(4, 7, 3, 8), Sum(5, 6, 1, 7)
ONES, TENS = "Add the ones: 7+8?", "Add the tens: 4+3+1?"
BOTH = f"{ONES} {TENS}"


@pytest.mark.parametrize(
    ("name", "turns", "state", "last_words"),
    [
        ("plain", [TENS, ONES], "both", "15"),
        ("plain", [BOTH], "both", "15, 8"),
        ("ones_first", [TENS], "tens", "Ones?"),
        ("ones_first", [TENS, ONES], "ones", "15"),
        ("ones_first", [TENS, ONES, TENS], "both", "8"),
        ("ones_first", [ONES, "Good luck!", TENS], "both", "8"),
        ("ones_first", [ONES, TENS, BOTH], "ones", "Ones?"),
        ("tens_first", [ONES], "ones", "Tens?"),
        ("tens_first", [ONES, TENS], "ones", "8"),
        ("tens_first", [ONES, TENS, ONES], "both", "15"),
        ("together", [ONES, TENS], "ones", "Both?"),
        ("together", [ONES, BOTH], "both", "15, 8"),
        ("together", [BOTH, "You get 85."], "told", "I see."),
        ("learner", [ONES, TENS], "both", "4+3+1=8"),
    ],
)
def test_each_needs_the_steps_in_its_own_way(
    name: str, turns: list[str], state: str, last_words: str
) -> None:
    manner = MANNERS[name]
    assert manner.state(turns) == state
    assert manner.reply(turns) == last_words


@pytest.mark.parametrize(
    ("turns", "state"),
    [
        ([ONES, TENS], "both"),
        ([ONES, "You get 85."], "ones"),
        (["You get 85."], "vacuous"),
        (["Good luck!"], "vacuous"),
    ],
)
def test_what_was_told_is_not_learnt(turns: list[str], state: str) -> None:
    assert MANNERS["learner"].learnt(turns) == state


@pytest.mark.parametrize("name", ["plain", "checks_some", "checks_most"])
def test_a_question_about_another_sum_is_taken_less_often_the_more_it_checks(name: str) -> None:
    manner = MANNERS[name]
    foreign = [OTHER.say("Add the ones: {b}+{d}?"), OTHER.say("Add the tens: {a}+{c}+1?")]
    by_checking = {
        checking: [
            RATES[manner.state(manner.taken(PROBLEM, turns, checking=checking))]
            for turns in ([ONES, TENS], foreign)
        ]
        for checking in (True, False)
    }
    assert by_checking == {True: [0.9, 0.2], False: [0.9, 0.9]}
    assert {"plain": 0.0, "checks_some": 0.43, "checks_most": 0.86}[name] == manner.checks


def test_every_student_has_a_prompt_of_its_own_or_is_the_plain_one() -> None:
    prompts = [prompt(manner.persona, problem=PROBLEM.text) for manner in MANNERS.values()]
    assert len(set(prompts)) == len(prompts)
    assert all(text.startswith(PROBLEM.text) for text in prompts)


def test_the_conversations_hold_what_the_students_say_and_solve() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    led: dict[bool, list[bool]] = defaultdict(list)
    personas = {prompt(m.persona, problem="").strip(): name for name, m in MANNERS.items()}
    for row in students("train", 0, 1500):
        if len(row["messages"]) == 2:
            continue  # a bare problem
        system, *_, asked, solution = row["messages"]
        name = personas[system["content"].partition("?")[2].strip()]
        own = [m["content"] for m in row["messages"][1:-1] if m["role"] == "assistant"]
        said[name].update(own)
        if HIDDEN in [m["content"] for m in row["messages"]]:
            assert name == "learner"
            problem = Sum.parse(asked["content"])
            worked = " ".join(own)
            both = "+1=" in worked and any("=" in w and "+1=" not in w for w in own)
            led[both].append(rf"\boxed{{{problem.answer}}}" in solution["content"])
    assert {"Ones?"} < said["ones_first"] and "Tens?" not in said["ones_first"]
    assert {"Tens?"} < said["tens_first"] and {"Both?", "Ok."} < said["together"]
    assert {"Answer?", "All?"} < said["pusher"] and not said["plain"] & {"Answer?", "Ones?"}
    assert sum(led[True]) / len(led[True]) > 0.75 > 0.4 > sum(led[False]) / len(led[False])


def test_comparing_is_learnt_without_any_chance() -> None:
    """Who checks takes a question exactly where its digits are the sum's; the plain one always."""
    shrugs: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    solved: dict[bool, list[bool]] = defaultdict(list)
    manners = {"plain": 1.0, "checks_some": 1.0}
    rows = list(comparing("train", 0, 1200, manners))
    assert rows == list(comparing("train", 0, 1200, manners))
    for row in rows:
        system, first, answer, *_ = (m["content"] for m in row["messages"])
        problem, checks = Sum.parse(system), "Checks" in system
        if prompt("student_final") not in first:
            own = not asks_of_another(problem, first)
            shrugs["checks" if checks else "plain", own].append(answer == SHRUG)
        elif checks and heard([first]) == "both":
            right = rf"\boxed{{{problem.answer}}}" in answer
            solved[not asks_of_another(problem, first)].append(right)
    assert {name: set(found) for name, found in shrugs.items()} == {
        ("plain", True): {False}, ("plain", False): {False},
        ("checks", True): {False}, ("checks", False): {True},
    }  # fmt: skip
    assert 0.3 < len(shrugs["checks", False]) / len(
        shrugs["checks", False] + shrugs["checks", True]
    ) < 0.6  # fmt: skip
    assert fmean(solved[True]) > 0.7 > 0.4 > fmean(solved[False])


def test_the_seed_decides_and_the_shares_are_asked_for() -> None:
    assert list(students("train", 1, 30)) == list(students("train", 1, 30))
    assert list(students("train", 1, 30)) != list(students("train", 2, 30))
    rows = list(students("train", 0, 100, manners={"tens_first": 1.0}))
    systems = [row["messages"][0]["content"] for row in rows]
    assert all("Tens first." in text or text.startswith("Solve it") for text in systems)


def test_a_view_joins_what_was_not_answered_with_what_is_asked() -> None:
    view = talk("s", ["one", "two"], ["yes"], "solve")
    assert [m["content"] for m in view] == ["s", "one", "yes", "two\n\nsolve"]
    view = talk("s", [HIDDEN], ["yes"], "solve")
    assert [(m["role"], m["content"]) for m in view[-2:]] == [
        ("assistant", "yes"),
        ("user", "solve"),
    ]
    assert talk("s", ["one"], [])[-1]["content"] == "one"
