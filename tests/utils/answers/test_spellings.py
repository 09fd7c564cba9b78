"""Properties: spellings of one value are equal, whatever the kind of form; other values are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utils.answers.forms import equal_forms
from utils.answers.symbolic_worker import leaf_by_sympy

SMALL, POSITIVE = st.integers(-99, 99), st.integers(1, 99)
DIGITS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
Value = Any
Spell = Callable[[Value], Sequence[str]]


def integers(n: int) -> list[str]:
    return [f"{n}", f"{n}.0", f"x = {n}", f"${n}$", rf"\text{{{n}}}", rf"\mathbf{{{n}}}",
            f"{n:,}", f"{n:,}".replace(",", r"\,"), rf"\color{{red}}{{{n}}}", f"({n})"]  # fmt: skip


def decimals(n: int) -> list[str]:
    value = f"{n / 100:.2f}"
    return [value, f"{value}0", rf"\frac{{{n}}}{{100}}", f"{n}/100", rf"{n} \times 10^{{-2}}"]


def fractions(value: Fraction) -> list[str]:
    over, under = value.numerator, value.denominator
    return [f"{over}/{under}", rf"\frac{{{over}}}{{{under}}}",
            rf"\dfrac{{{3 * over}}}{{{3 * under}}}",
            rf"\left(\frac{{{over}}}{{{under}}}\right)", rf"y = {over}/{under}"]  # fmt: skip


def mixed(value: Fraction) -> list[str]:
    whole, over = divmod(value.numerator, value.denominator)
    part = rf"\frac{{{over}}}{{{value.denominator}}}"
    return [f"{whole} {over}/{value.denominator}", f"{whole}{part}", *fractions(value)]


def repeating(n: int) -> list[str]:
    return [rf"0.\overline{{{n:02d}}}", rf"\frac{{{n}}}{{99}}", rf"0.{n:02d}{n:02d}{n:02d}\ldots"]


def roots(pair: tuple[int, int]) -> list[str]:
    a, b = pair
    return [
        rf"{a}\sqrt{{{b}}}",
        rf"\sqrt{{{a * a * b}}}",
        f"{a}*sqrt({b})",
        rf"\sqrt{{{b}}} \cdot {a}",
    ]


def pi_multiples(value: Fraction) -> list[str]:
    over, under = value.numerator, value.denominator
    return [
        rf"\frac{{{over}}}{{{under}}}\pi",
        rf"\frac{{{over}\pi}}{{{under}}}",
        f"{over}*pi/{under}",
    ]


def percents(n: int) -> list[str]:
    return [rf"{n}\%", f"{n}%", f"{n} percent", rf"{n} \text{{ percent}}", f"{n} pct"]


def money(n: int) -> list[str]:
    return [rf"\${n}.50", f"${n}.50", f"{n}.50 dollars", rf"{n}.5 \text{{ dollars}}", f"{n}.50 USD"]


def units(n: int) -> list[str]:
    return [f"{n} cm^2", rf"{n} \text{{ cm}}^2", f"{n} square centimeters", rf"{n}\mathrm{{~cm}}^2"]


def sets(items: tuple[int, ...]) -> list[str]:
    a, b, c = items
    return [
        rf"\{{{a}, {b}, {c}\}}",
        rf"\{{{c},{a},{b}\}}",
        f"{b}, {c} and {a}",
        rf"\lbrace {c}, {b}, {a} \rbrace",
    ]


def tuples(items: tuple[int, int]) -> list[str]:
    a, b = items
    return [f"({a}, {b})", rf"\left({a},{b}\right)", f"x = {a}, y = {b}", f"(x,y) = ({a},{b})"]


def intervals(ends: tuple[int, int]) -> list[str]:
    a, b = ends[0], ends[0] + abs(ends[1]) + 1
    return [f"[{a}, {b})", rf"{a} \le x < {b}", rf"x \in \left[{a}, {b}\right)", f"{a} <= x < {b}"]


def expressions(pair: tuple[int, int]) -> list[str]:
    a, b = pair
    return [f"(x+{a})(x+{b})", f"x^2+{a + b}x+{a * b}", f"x**2 + {a * b} + {a + b}*x"]


def equations(pair: tuple[int, int]) -> list[str]:
    a, b = pair
    return [f"y = {a}x+{b}", f"y={b}+{a}x", f"{a}x - y + {b} = 0"]


def choices(n: int) -> list[str]:
    letter = "ABCDE"[n % 5]
    return [
        letter,
        f"({letter})",
        rf"\textbf{{({letter})}}",
        f"Option {letter}",
        rf"\text{{{letter})}} 3",
    ]


def words(n: int) -> list[str]:
    return [DIGITS[n], f"{n}", DIGITS[n].title(), rf"\text{{{DIGITS[n]}}}"]


def clocks(minutes: int) -> list[str]:
    hour, minute = divmod(minutes, 60)
    time = f"{hour}:{minute:02d}"
    return [
        f"{time} p.m.",
        rf"{time} \text{{ PM}}",
        rf"\text{{{time} pm}}",
        rf"{hour}{{:}}{minute:02d} PM",
    ]


def ratios(pair: tuple[int, int]) -> list[str]:
    a, b = pair
    return [f"{a}:{b}:1", f"{a} : {b} : 1", f"{2 * a}:{2 * b}:2", f"a:b:c = {a}:{b}:1"]


def matrices(items: tuple[int, int]) -> list[str]:
    a, b = items
    return [
        rf"\begin{{{kind}}} {a} & 0 \\ 1 & {b} \end{{{kind}}}" for kind in ("pmatrix", "bmatrix")
    ]


PROPER = st.builds(lambda a, b, c: Fraction(a) + Fraction(b, b + c), POSITIVE, POSITIVE, POSITIVE)
PAIRS = st.tuples(POSITIVE, POSITIVE)
KINDS: dict[str, tuple[Spell, st.SearchStrategy[Value], Callable[[Value], object]]] = {
    "integers": (integers, st.integers(-99999, 99999), lambda n: n),
    "decimals": (decimals, st.integers(100, 99999), lambda n: n),
    "fractions": (fractions, st.builds(Fraction, SMALL, POSITIVE), lambda v: v),
    "mixed": (mixed, PROPER, lambda v: v),
    "repeating": (repeating, st.integers(1, 98), lambda n: n),
    "roots": (roots, st.tuples(POSITIVE, st.sampled_from([2, 3, 5, 6, 7])), lambda p: p),
    "pi multiples": (pi_multiples, st.builds(Fraction, POSITIVE, POSITIVE), lambda v: v),
    "percents": (percents, st.integers(1, 999), lambda n: n),
    "money": (money, st.integers(1, 999), lambda n: n),
    "units": (units, st.integers(1, 999), lambda n: n),
    "sets": (sets, st.tuples(SMALL, SMALL, SMALL), lambda t: sorted(t)),
    "tuples": (tuples, st.tuples(SMALL, SMALL), lambda t: t),
    "intervals": (intervals, st.tuples(SMALL, SMALL), lambda t: (t[0], abs(t[1]))),
    "expressions": (expressions, PAIRS, lambda p: (p[0] + p[1], p[0] * p[1])),
    "equations": (equations, PAIRS, lambda p: p),
    "choices": (choices, st.integers(0, 4), lambda n: n),
    "words": (words, st.integers(0, 12), lambda n: n),
    "clocks": (clocks, st.integers(60, 779), lambda n: n),
    "ratios": (ratios, PAIRS, lambda p: p),
    "matrices": (matrices, st.tuples(SMALL, SMALL), lambda t: t),
}
few = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def same(a: str, b: str) -> bool:
    return bool(equal_forms(a, b, leaf_by_sympy))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_spellings_of_one_value_are_equal(kind: str, data: st.DataObject) -> None:
    spell, values, _ = KINDS[kind]
    ways = spell(data.draw(values))
    first = ways[0]
    assert [way for way in ways if not (same(first, way) and same(way, first))] == []


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_neighbours_are_not_equal(kind: str, data: st.DataObject) -> None:
    spell, values, key = KINDS[kind]
    one, other = data.draw(values), data.draw(values)
    if key(one) != key(other):
        pairs = itertools.islice(itertools.product(spell(one), spell(other)), 12)
        assert [pair for pair in pairs if same(*pair)] == []


SINGLE = [
    kind for kind in KINDS if kind not in ("choices", "clocks", "words", "decimals", "fractions")
]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_answers_of_different_kinds_are_not_equal(data: st.DataObject) -> None:
    """But for those that share values: a bare number is its percentage, its amount, its length."""
    numbers = {"integers", "percents", "money", "units", "mixed", "repeating"}
    one, other = data.draw(st.sampled_from(SINGLE)), data.draw(st.sampled_from(SINGLE))
    if one == other or {one, other} <= numbers:
        return
    a = data.draw(st.sampled_from(KINDS[one][0](data.draw(KINDS[one][1]))))
    b = data.draw(st.sampled_from(KINDS[other][0](data.draw(KINDS[other][1]))))
    assert not same(a, b)


@pytest.mark.parametrize("exponent", [10, 99, 2024, 5000])
@pytest.mark.parametrize(
    "form", ["2^{{{n}}}", r"\frac{{1}}{{2^{{{n}}}}}", r"\frac{{x}}{{3^{{{n}}}}}"]
)
def test_large_and_tiny_values_are_exact(exponent: int, form: str) -> None:
    text = form.format(n=exponent)
    assert same(text, text)
    assert not same(text, form.format(n=exponent + 1))
    assert not same(text, f"{text} + 1")
    assert not same(text, "0")
