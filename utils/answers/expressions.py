"""Whether two expressions are equal, by math-verify's parser, its comparison and sympy.

Imported by the helper process only (`utils.answers.symbolic_worker`): sympy takes a second to load
and can take for ever to decide.

math-verify reads the LaTeX and compares relations and sets.  Two expressions are compared here:
math-verify cuts small differences off (1/2004! equals 1/2006!, x/2004! equals x/2006!), rounds to
six decimals whatever the size, and takes R and r for one unknown.
"""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import verify

from utils.answers.leaf import rounds_to

DIGITS = 40  # of a value without an exact one
_SAME = sympy.Float(10) ** -100  # relative difference; sympy works with up to 200 digits to see it
_SPELLING = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none",
    equations=False,
)  # fmt: skip
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)")
# where unknowns are tried: of both signs, no simple ratio between any two
_POINTS = (
    ("1.3719", "0.4283", "2.1937", "0.7741", "3.0353"),
    ("-0.8357", "1.6129", "-1.2671", "2.4519", "0.3967"),
    ("0.5923", "-2.3719", "0.9181", "-1.1453", "1.7689"),
)


def same_expression(a: str, b: str) -> bool:
    """Whether two cleaned texts say the same; False where either cannot be read."""
    x, y = _parsed(a), _parsed(b)
    if x is None or y is None:
        return False
    if isinstance(x, sympy.Expr) and isinstance(y, sympy.Expr):
        verdict = _same_value(x, y, a, b)
        if verdict is not None:
            return verdict
    return bool(verify(x, y, timeout_seconds=None) or verify(y, x, timeout_seconds=None))


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """As sympy, decimals exact and i the imaginary unit; None for what is no mathematics."""
    text = text.replace("⦃", r"\\{").replace("⦄", r"\\}").replace("⟨", r"\text{").replace("⟩", "}")
    if ":" in text:  # a ratio, which the parser takes for a division
        return None
    text = _DEGREES.sub(r"(\1\\cdot\\frac{\\pi}{180})", text)
    text = re.sub(r"\^(\d{2,})", r"^{\1}", text)
    try:
        found = latex2sympy(
            text, is_real=True, normalization_config=_SPELLING, conversion_config=_CONVERSION
        )
    except Exception:  # the parser raises Exception itself, sympy whatever it likes
        return None
    if not isinstance(found, sympy.Expr):
        return found
    exact = {number: sympy.Rational(str(number)) for number in found.atoms(sympy.Float)}
    units = {s: sympy.I for s in found.free_symbols if s.name == "i"}
    return found.xreplace(exact | units)


def _same_value(x: sympy.Expr, y: sympy.Expr, x_text: str, y_text: str) -> bool | None:
    """Whether two expressions have the same value, at every point tried; None: they have none."""
    x, y = x.doit(), y.doit()
    if x == y:
        return True
    unknowns = sorted(x.free_symbols | y.free_symbols, key=str)
    if not unknowns:
        if x.is_Rational and y.is_Rational:
            return bool(x == y)
        if _rounds(x, y_text) or _rounds(y, x_text):
            return True
        return _near(x, y)
    if len(unknowns) > 12 or x.atoms(sympy.core.function.AppliedUndef) or x.has(sympy.Sum):
        return None
    for point in _POINTS:
        values = dict(zip(unknowns, map(sympy.Rational, itertools.cycle(point)), strict=False))
        values = {u: v + sympy.Rational(n, 17) for n, (u, v) in enumerate(values.items())}
        verdict = _near(x.subs(values), y.subs(values))
        if not verdict:
            return verdict
    return True


def _near(x: sympy.Expr, y: sympy.Expr) -> bool | None:
    """Whether two numbers are the same; None: no number."""
    if x == y:
        return True
    values = [sympy.N(one, DIGITS) for one in (x, y)]
    if not all(value.is_number and value.is_finite for value in values):
        return False if all(value.is_number for value in values) else None
    difference, scale = abs(sympy.N(x - y, 20, maxn=200)), max(abs(value) for value in values)
    return bool(difference <= _SAME * scale)


def _rounds(value: sympy.Expr, text: str) -> bool:
    """Whether `text` is a decimal that `value`, which has no finite decimal, rounds to."""
    if value.is_Rational or not value.is_real or not value.is_finite:
        return False
    return rounds_to(Fraction(str(sympy.N(value, DIGITS))), text)
