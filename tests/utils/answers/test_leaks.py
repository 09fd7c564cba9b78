"""The leak matcher: a table of what says an answer, and properties over generated numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.answers.leaks import match_leak, said_in
from utils.answers.spoken_numbers import numbers_in

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "leaks.jsonl").read_text().splitlines()
]
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


def test_another_role_is_an_error() -> None:
    with pytest.raises(ValueError, match="judge"):
        match_leak("p", "21", [("judge", "21")])


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
