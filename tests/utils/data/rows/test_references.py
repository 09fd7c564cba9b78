"""The reference in a cell, by hand: where the answer stands, and which cells hold none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.answers.equality import is_correct
from utils.data.rows.bad_rows import BadRow
from utils.data.rows.escapes import repaired
from utils.data.rows.references import read_reference, refuse_unreachable

READ: list[tuple[Any, str]] = [
    (r"\frac{3}{4}", r"\frac{3}{4}"),
    ("$4$", "$4$"),
    # GSM8K
    ("a #### b\n#### 1,000", "1,000"),
    ("#### 1,234", "1,234"),
    (r"x" "\n" r"#### \boxed{7}", "7"),
    # boxes
    (r"We add: $2+\frac53=\boxed{\frac{11}{3}}$.", r"\frac{11}{3}"),
    (r"They are $\boxed{1}$ and $\boxed{2}$.", "1, 2"),
    (r"$x=\boxed{1}$, $y=\boxed{2}$", "x=1, y=2"),
    (r"First $\boxed{3}$ apples are left, hence finally \boxed{5}.", "5"),
    (r"$\boxed{4}$ ... so again $\boxed{4}$", "4"),
    (r"\boxed{3}, QED \boxed{}", "3"),
    (r"\boxed{\boxed{3}}", "3"),
    (r"\fbox {b}", "b"),
    (r"Heading \boxed{5}" "\n#### A note\nThis is long.", "5"),
    # said
    ("The answer is 2", "2"),
    ("the answer is: 3.", "3"),
    ("Answer: 1", "1"),
    ("**Answer:** 5", "5"),
    ("### Final Answer\n5", "5"),
    ("Thus the answer is 5, since 2 + 3 = 5.", "5"),
    ("The answer to part (b) is -$3.50. We are done.", "-$3.50"),
    ("The correct answer is (B) 12.", "(B) 12"),
    ("So the answer is\n\\[\nx + 1\n\\]", "\\[\nx + 1\n\\]"),
    ("We get the answer.\nThen x = 5", "We get the answer.\nThen x = 5"),
    (r"\text{The answer is } 5", r"\text{The answer is } 5"),
    ("The answer is not 12. The answer is 13.", "13"),
    ("The answer is 12. Once more: yes, the answer is 12.", "12"),
    ("答案\uff1a42", "42"),
    ("故答案为\uff1a42", "42"),
    ("La respuesta es 42.", "42"),
    ("Die Antwort ist 42.", "42"),
    # in tags
    (r"<think>perhaps \boxed{3}</think>" "\nThe answer is 4.", "4"),
    ("<think>hm</think><answer>4</answer>", "4"),
    ("<p>9</p>", "9"),
    ("x &lt; 4", "x < 4"),
    ("Q: What is 3 + 4?\nA: 7", "7"),
    ("A: 3, B: 4", "A: 3, B: 4"),
    ("B: 12", "B: 12"),
    # MathDial: the last line, alone
    ("He had 12 + 3 spoons.\nSo he bought 10 spoons.\n 10", "10"),
    # lists, dicts, other types
    (["4"], "4"),
    (["2", "-2"], "2, -2"),
    ([6], "6"),
    ([0.5, 3.0], "0.5, 3"),
    ("['2', '-2']", "2, -2"),
    ("[1, 2]", "[1, 2]"),
    ({"ground_truth": "4", "style": "rule"}, "4"),
    ([{"from": "human", "value": "?"}, {"from": "gpt", "value": "The answer is 4."}], "4"),
    (True, "True"),
    (3.0, "3"),
    (1e22, "10000000000000000000000"),
    (2**53 + 1, "9007199254740993"),
    (float("-inf"), r"-\infty"),
    ("Na", "Na"),
    ("No solution", "No solution"),
    (r"\emptyset", r"\emptyset"),
]


@pytest.mark.parametrize(("cell", "reference"), READ)
def test_where_the_answer_stands(cell: Any, reference: str) -> None:
    assert read_reference(cell)[0] == reference


def test_the_solution_around_an_answer_is_kept() -> None:
    assert read_reference("It is so.\n#### 3") == ("3", "It is so.")
    assert read_reference(r"It is \boxed{3}.") == ("3", r"It is \boxed{3}.")
    assert read_reference("3") == ("3", "")


@pytest.mark.parametrize(
    ("cell", "detail"),
    [
        ("", "no answer"),
        (None, "no answer"),
        ("so ####", "no answer after ####"),
        (r"\boxed{} and \boxed{}", "an empty or unfinished box"),
        (r"\boxed{3", "an empty or unfinished box"),
        ([], "an empty list"),
        ([["2"]], "a list of 1, not of texts or numbers"),
        ([None], "no answer"),
        ({"value": "4", "unit": "apples"}, r"fields value, unit; name one, as gold\.value"),
        ('{"value": "4", "unit": "m"}', r"fields value, unit; name one, as gold\.value"),
        ([{"from": "human", "value": "?"}], "no message of an assistant"),
        ("It holds since every even number is a double. " * 4, "words, and no box"),
    ],
)
def test_cells_without_an_answer(cell: Any, detail: str) -> None:
    with pytest.raises(BadRow, match=detail) as caught:
        read_reference(cell, "gold")
    assert not caught.value.marked


@pytest.mark.parametrize(
    "cell",
    [
        "proof",
        "Not found.",
        "N/A",
        "nan",
        "None",
        "-",
        "?",
        ["null"],
        "#REF!",
        "()",
        r"\text{proof}",
    ],
)
def test_placeholders_are_marked(cell: Any) -> None:
    with pytest.raises(BadRow, match="the answer is ") as caught:
        read_reference(cell)
    assert caught.value.marked


def test_maths_solutions_say_their_answers(shared_data: Path) -> None:
    for line in (shared_data / "math500-100.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert read_reference(row["solution"]) == (row["answer"], row["solution"])


# -- could a student ever reach it? ----------------------------------------------------------


@given(
    st.integers(-(10**15) + 1, 10**15 - 1).map(str)
    | st.decimals(-(10**9), 10**9, places=4).map(lambda d: format(d, "f"))
)
def test_what_is_taken_for_a_plain_number_is_accepted_by_is_correct(number: str) -> None:
    refuse_unreachable(number)
    assert is_correct(f"\\boxed{{{number}}}", number)


@pytest.mark.parametrize("reference", [r"\frac{1}{2", "}{", "3}"])
def test_a_reference_that_no_box_could_hold_is_refused(reference: str) -> None:
    with pytest.raises(BadRow, match="no solution could ever equal"):
        refuse_unreachable(reference)


# -- lost backslashes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "right"),
    [
        ("\frac{1}{2}", r"\frac{1}{2}"),
        ("\text{Monday}", r"\text{Monday}"),
        ("a \times b", r"a \times b"),
        ("\theta", r"\theta"),
        ("x \neq 5", r"x \neq 5"),
        ("\nabla f", r"\nabla f"),
        ("\beta + \boxed{3}", r"\beta + \boxed{3}"),
        ("\right)", r"\right)"),
        ("\rho", r"\rho"),
        ("\alpha", r"\alpha"),
        ("\vec{v}", r"\vec{v}"),
        ("Find $\tan x$ and\tto the end", "Find $\\tan x$ and\tto the end"),
    ],
)
def test_commands_are_put_back(lost: str, right: str) -> None:
    assert repaired({"a": [lost]}) == {"a": [right]}


@pytest.mark.parametrize(
    "text",
    ["a\tb", "one\nnote: two", "a page\f\nanother", "line\r\nline", "\tto be", "x\nu = 3", "\x00"],
)
def test_other_blanks_are_left_alone(text: str) -> None:
    assert repaired(text) == text


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(BadRow, match=r"may have said \\foo; JSON writes a backslash twice"):
        repaired("\foo")
    for doubtful in ("\tan x", "5 \to 6", "\nu", "x \ne 5"):
        with pytest.raises(BadRow, match="a control character where LaTeX may have said"):
            read_reference(repaired(doubtful))
