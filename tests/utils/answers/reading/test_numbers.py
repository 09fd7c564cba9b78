"""Plain numbers: values, what is left to math-verify, and bounds that nothing gets past."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.answers.reading.numbers import is_finite_decimal, plain_value, surd_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("-5", -5), ("+ 5", 5), ("5.", 5), (".5", Fraction(1, 2)), ("(5)", 5),
        ("1/3", Fraction(1, 3)), ("2 1/2", Fraction(5, 2)), ("-2 1/2", Fraction(-5, 2)),
        (r"2\frac{1}{2}", Fraction(5, 2)), (r"-2\frac{1}{2}", Fraction(-5, 2)),
        (r"\frac{-1}{2}", Fraction(-1, 2)), (r"-\frac{1}{-2}", Fraction(1, 2)),
        (r"\frac{1.5}{2}", Fraction(3, 4)), ("3.2e5", 320000), (r"3.2 \times 10^5", 320000),
        (r"1.5 \cdot 10^{-3}", Fraction(3, 2000)), (r"0.\overline{3}", Fraction(1, 3)),
        (r"0.1\overline{6}", Fraction(1, 6)), (r"-2.\bar{45}", Fraction(-27, 11)),
        (r"0.333\ldots", Fraction(1, 3)), (r"0.142857142857\ldots", Fraction(1, 7)),
        ("0.(3)", Fraction(1, 3)), ("twenty-one", 21), ("two and a half", Fraction(5, 2)),
    ],
)  # fmt: skip
def test_exact_values(text: str, value: Fraction) -> None:
    assert plain_value(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "2x", "2 3", "1/0", r"\frac{1}{0}", "(5", "5)", "5+", r"\frac{1}", "2^3", "3!", "2+3",
     r"\sqrt{4}", r"\pi", "1e99999", r"10 \times 10^{9999999}", "1" * 401, "1..2", "1,000",
     r"3\frac{4}{2}", r"0.12\ldots", "(1)(2)"],
)  # fmt: skip
def test_no_plain_number(text: str) -> None:
    assert plain_value(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\sqrt{12}", (2, 3)), (r"-3\sqrt{2}", (-3, 2)), (r"\sqrt{2} \cdot 5", (5, 2)),
        (r"5 \cdot \sqrt{7}", (5, 7)), (r"-\pi", (-1, 0)), (r"3\pi", (3, 0)),
        (r"0\sqrt{2}", None),
        (r"\sqrt{16}", None), (r"\sqrt{0}", None), (r"\sqrt{2}+1", None), (r"\sqrt{x}", None),
        (r"\sqrt[3]{2}", None), (r"\pi^2", None), ("", None),
    ],
)  # fmt: skip
def test_roots_and_multiples_of_pi(text: str, value: tuple[int, int] | None) -> None:
    assert surd_value(text) == value


@given(st.integers(-9999, 9999), st.integers(1, 999))
def test_fractions(over: int, under: int) -> None:
    value = Fraction(over, under)
    assert plain_value(f"{over}/{under}") == value
    assert plain_value(rf"\frac{{{over}}}{{{under}}}") == value
    assert is_finite_decimal(value) == (10**40 * value).denominator.__eq__(1)


@given(st.text(alphabet="0123456789.+-*/^!(){}[]ie \\", max_size=60))
def test_any_text_is_bounded(text: str) -> None:
    value = plain_value(text)
    assert value is None or value.numerator.bit_length() + value.denominator.bit_length() < 4000
