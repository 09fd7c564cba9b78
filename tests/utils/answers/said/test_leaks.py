"""The leak matcher: a table of what says an answer, and properties over generated numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from utils.answers.reading.spoken_numbers import numbers_in
from utils.answers.said.leaks import leaks, match_leak
from utils.answers.said.mentions import said_in
from utils.calibrate import calibrate_function
from utils.verdicts.labels import read_labels

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[3] / "data" / "leaks.jsonl").read_text().splitlines()
]
SHARED = Path(__file__).parents[5] / "shared"
UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen""".split()  # noqa: SIM905
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905


def in_words(number: int) -> str:
    """English for 0 to 999,999, written independently of the code under test."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        return TENS[number // 10] + (f"-{UNITS[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = f" and {in_words(number % 100)}" if number % 100 else ""
        return f"{UNITS[number // 100]} hundred{rest}"
    rest = f" {in_words(number % 1000)}" if number % 1000 else ""
    return f"{in_words(number // 1000)} thousand{rest}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["why"])
def test_table(row: dict) -> None:
    verdict = match_leak(row["problem"], row["answer"], [tuple(turn) for turn in row["turns"]])
    assert verdict.decision == row["decision"], verdict.reasoning
    if "span" in row:
        assert f'"{row["span"]}"' in verdict.reasoning


def test_table_is_large_enough() -> None:
    assert len(ROWS) >= 90
    assert sum(row["decision"] == "REJECT" for row in ROWS) >= 50


def test_the_evidence_names_turn_span_and_words() -> None:
    turns = [("teacher", "Try."), ("student", "How?"), ("teacher", "Well, it is 21 apples.")]
    verdict = match_leak("3 bags of 7", "21", turns)
    assert verdict.reasoning == (
        'Turn 3 (teacher) says the answer as "21" (characters 12 to 14): "Well, it is 21 apples."'
    )


def test_a_peer_who_offers_the_answer_is_a_student_too() -> None:
    told = ("teacher", "So the answer is 21.")
    assert match_leak("p", "21", [("student", "How?"), told]).decision == "REJECT"
    turns = [("student", "How?"), ("Noor", "I got 21."), told]
    assert match_leak("p", "21", turns).decision == "OK"


@given(st.integers(0, 999_999))
def test_every_number_is_found_in_digits_and_words(number: int) -> None:
    for spelling in (str(number), f"{number:,}", in_words(number), in_words(number).title()):
        text = f"I think: {spelling} would do."
        [found] = [n for n in numbers_in(text) if n == number]
        assert text[found.start : found.end] == spelling


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_no_number_is_found_in_another(wanted: int, other: int) -> None:
    if wanted != other:
        assert said_in(f"so {in_words(other)}, that is {other} or {other}.0", str(wanted)) is None


@given(st.integers(1, 99), st.integers(2, 99))
def test_fractions(over: int, under: int) -> None:
    value = Fraction(over, under)
    latex = f"\\frac{{{over}}}{{{under}}}"
    assert numbers_in(f"take ${latex}$ of it") == [value]
    if value.denominator > 1:
        assert said_in(f"it is {over}/{under}", latex) is not None
    else:  # a division that comes out whole is still to be done
        assert numbers_in(f"{over}/{under}") == [over, under]


@given(st.text(max_size=200))
@example("\u00bc/")
def test_any_text_is_read_and_spans_lie_in_it(text: str) -> None:
    last = 0
    for number in numbers_in(text):
        assert last <= number.start < number.end <= len(text)
        last = number.end


@given(st.text(alphabet="0123456789 ./-,\\frac{}%^_x\u200b½²٣and", max_size=60))
def test_number_like_text_is_read(text: str) -> None:
    match_leak("p", text, [("teacher", text)])


def test_numbers_compare_as_values() -> None:
    problem, turn = set(numbers_in("3 bags of 7")), set(numbers_in("seven, or 3.0"))
    assert problem == turn == {3, 7}


PEOPLE = SHARED / "cases" / "mrbench-dev.json"
MOVES = SHARED / "data" / "mathdial-test-200.jsonl"


@pytest.mark.skipif(not PEOPLE.exists(), reason="no ../shared/cases/mrbench-dev.json here")
def test_it_agrees_with_people_on_what_reveals_the_answer() -> None:
    found = calibrate_function("matcher", match_leak, read_labels(PEOPLE))
    assert (found.measures["kappa"]["value"] or 0) >= 0.8
    assert (found.measures["precision"]["value"] or 0) >= 0.85
    assert (found.measures["kappa"]["low"] or 0) >= 0.7


@pytest.mark.skipif(not MOVES.exists(), reason="no ../shared/data/mathdial-test-200.jsonl here")
def test_telling_turns_alarm_and_questions_hardly() -> None:
    groups = calibrate_function("matcher", match_leak, read_labels(MOVES)).groups
    share = {name: group["rejected"] / group["turns"] for name, group in groups.items()}
    assert share["telling"] > 0.1
    assert max(share["generic"], share["focus"], share["probing"]) < 0.015


def test_every_tutor_turn_that_tells_is_named_with_its_kind() -> None:
    turns = [
        ("student", "3 x 7 = 21, then I take 5 away, so 16 are left."),
        ("teacher", "Where does the 21 come from?"),
        ("student", "From 3 bags of 7."),
        ("teacher", "The answer is 20."),
        ("teacher", "Sorry: the answer is 21."),
        ("student", "So the answer is 21."),
        ("teacher", "Yes, 21 apples is the answer."),
    ]
    found = leaks("Tom has 3 bags of 7 apples. How many?", "21", turns)
    assert [(leak.kind, leak.turn) for leak in found] == [("wrong", 4), ("announced", 5)]
    verdict = match_leak("Tom has 3 bags of 7 apples. How many?", "21", turns)
    assert verdict.decision == "REJECT" and verdict.reasoning.startswith("Turn 5 (teacher)")


def test_a_wrong_answer_is_no_leak_but_is_named() -> None:
    verdict = match_leak("3 bags of 7?", "21", [("teacher", "The correct answer is 22.")])
    assert verdict.decision == "OK"
    assert 'Turn 1 (teacher) announces a wrong answer as "22"' in verdict.reasoning


SIGNS = st.sampled_from(
    ["*", " * ", "+", " + ", " - ", "/", " x ", " \u00d7 ", " \\times ", " times "]
)


@given(st.integers(11, 99), st.integers(101, 999), SIGNS, st.booleans())
def test_an_operand_is_not_said_and_a_result_is(
    own: int, other: int, sign: str, first: bool
) -> None:
    """What a sum is made of tells nothing; what it gives does, whatever the student mentioned."""
    sum_ = f"{own}{sign}{other}" if first else f"{other}{sign}{own}"
    assert match_leak("p", str(own), [("teacher", f"What is {sum_}?")]).decision == "OK"
    mentioned = ("student", f"{own} and then {other}, so 1000")
    for turns in ([], [mentioned]):
        told = [*turns, ("teacher", f"No: {other}{sign}7 = {own}.")]
        assert match_leak("p", str(own), told).decision == "REJECT"


@given(
    st.integers(11, 99),
    st.sampled_from(["{}", "Is it {}?", "So it is {}.", "I think the answer is {}."]),
)
def test_what_the_student_offers_may_be_confirmed(own: int, offer: str) -> None:
    turns = [("student", offer.format(own)), ("teacher", f"Yes, the answer is {own}.")]
    assert match_leak("p", str(own), turns).decision == "OK"
    taken_back = [turns[0], ("teacher", "Sure?"), ("student", "No, it is 100."), turns[1]]
    assert match_leak("p", str(own), taken_back).decision == "REJECT"


@pytest.mark.parametrize(
    "text",
    ["8 " * 3000, "8+" * 3000, "= 8 " * 3000, "(" * 5000 + "8", "the answer of " * 2000 + "8"],
)
def test_hostile_text_is_read(text: str) -> None:
    match_leak("8", "8", [("student", text), ("teacher", text)])
