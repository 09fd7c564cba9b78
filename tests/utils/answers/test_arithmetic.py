"""Plain arithmetic: values, what is refused, and bounds that nothing gets past."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.answers.arithmetic import MAX_BITS, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("-5", -5), ("+ 5", 5), ("5.", 5), (".5", Fraction(1, 2)),
        ("1/3", Fraction(1, 3)),
        ("2 1/2", Fraction(5, 2)), ("-2 1/2", Fraction(-5, 2)), (r"2\frac{1}{2}", Fraction(5, 2)),
        (r"-2\frac{1}{2}", Fraction(-5, 2)), (r"2\cdot\frac{1}{2}", 1),
        (r"\frac{-1}{2}", Fraction(-1, 2)),
        (r"\frac{1}{2}\frac{1}{3}", Fraction(1, 6)), ("2(3+4)", 14), ("-2^2", -4), ("(-2)^2", 4),
        ("2^3^2", 512), ("2^{-1}", Fraction(1, 2)), ("2^-1", Fraction(1, 2)), ("3!", 6),
        ("8/4/2", 1),
        (r"\sqrt{16}", 4), (r"\sqrt[3]{27}", 3), (r"\sqrt[3]{-8}", -2), ("4^{1/2}", 2),
        ("8^{2/3}", 4),
        ("3.2e5", 320000), (r"3.2 \times 10^5", 320000), ("10-3-2", 5), ("--3", 3),
        ("3:4", Fraction(3, 4)),
    ],
)  # fmt: skip
def test_exact_values(text: str, value: Fraction) -> None:
    assert value_of(text) == value
    assert isinstance(value_of(text), Fraction)


@pytest.mark.parametrize(
    ("text", "value"),
    [(r"\sqrt{2}", 2**0.5), (r"2\pi", 6.283185307179586), ("6-5i", 6 - 5j), ("i^2", -1),
     (r"\frac{3\sqrt{3}}{4}", 1.299038105676658), (r"-\infty", float("-inf")),
     ("e", 2.718281828459045)],
)  # fmt: skip
def test_inexact_values(text: str, value: complex) -> None:
    assert value_of(text) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    ["", "x", "2x", "2 3", "1/0", "0^{-1}", "(5", "5)", "5+", r"\frac{1}", r"\sin 1", "5 5/6 7",
     "a",
     "9^9^9^9", "10^{10^{10}}", "1000!", "(-1)!", "1.5!", "1e99999", "1e999999999999", "2^{1e9}",
     "(" * 100 + "5" + ")" * 100, "1" * 401, "^5", "!", "1..2", "10^{400}^{400}"],
)  # fmt: skip
def test_refused(text: str) -> None:
    assert value_of(text) is None


@given(st.integers(-999, 999), st.integers(1, 999), st.integers(-999, 999), st.integers(1, 999))
def test_arithmetic_agrees_with_fractions(a: int, b: int, c: int, d: int) -> None:
    x, y = Fraction(a, b), Fraction(c, d)
    one, two = f"({a}/{b})", rf"\frac{{{c}}}{{{d}}}"
    assert value_of(f"{one} + {two}") == x + y
    assert value_of(f"{one} - {two}") == x - y
    assert value_of(rf"{one} \times {two}") == x * y
    assert value_of(f"{one} / {two}") == (x / y if y else None)


@given(st.text(alphabet="0123456789.+-*/^!(){}[]ie \\", max_size=60))
def test_any_text_is_bounded(text: str) -> None:
    value = value_of(text)
    if isinstance(value, Fraction) and len(text) < 60:
        assert value.numerator.bit_length() + value.denominator.bit_length() <= MAX_BITS
