"""Plain numbers, exactly and in microseconds: whole numbers, decimals, fractions, mixed numbers,
scientific notation, repeating decimals, numbers in words.  Whatever else has a value (roots,
powers, pi) is math-verify's to read.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

from utils.answers.reading.number_words import whole_number

MAX_LENGTH, MAX_POWER = 400, 400
_INTEGER = r"\{?\s*([-+]?\s*\d+(?:\.\d*)?|[-+]?\s*\.\d+)\s*\}?"
_DECIMAL = re.compile(r"([-+]?)\s*(\d+\.?\d*|\.\d+)")
_FRACTION = re.compile(
    r"([-+]?)\s*(?:(\d+)\s*(?=\\frac|\d+\s*/))??\s*"
    rf"(?:\\frac\s*\{{{_INTEGER}\}}\s*\{{{_INTEGER}\}}|{_INTEGER}\s*(?<!\.)/\s*{_INTEGER})"
)
_SCIENTIFIC = re.compile(
    r"([-+]?\s*(?:\d+\.?\d*|\.\d+))\s*(?:\\times|\\cdot)\s*10\s*\^\s*\{?\s*([-+]?\s*\d+)\s*\}?"
    r"|([-+]?(?:\d+\.?\d*|\.\d+))[eE]([-+]?\d+)"
)
_REPEATING = re.compile(
    r"([-+]?)\s*(\d*)\.(\d*)\s*(?:\\(?:overline|bar|dot)\s*\{?\s*(\d+)\s*\}?|\((\d+)\)|(?:\.\.\.|\\[lc]?dots))"
)
_SURD = re.compile(
    r"(-?)\s*(\d{1,9})?\s*(?:\\cdot\s*)?(?:\\sqrt\s*\{(\d{1,6})\}|\\pi)\s*(?:\\cdot\s*(\d{1,9}))?\s*"
)
_TAIL = re.compile(r"(\d+?)\1+$")


@lru_cache(maxsize=8192)
def plain_value(text: str) -> Fraction | None:
    """The value of a cleaned text that is one number, or None (see `reading.text.clean`)."""
    text = _unwrapped(text.strip())
    if not text or len(text) > MAX_LENGTH:
        return None
    if decimal := _DECIMAL.fullmatch(text):
        return Fraction(decimal[1] + decimal[2])
    if text[0].isalpha() or text[0] == "⟨":
        return in_words(text.strip("⟨⟩ "))
    try:
        if fraction := _FRACTION.fullmatch(text):
            return _fraction(*fraction.groups())
    except ZeroDivisionError:
        return None
    if (scientific := _SCIENTIFIC.fullmatch(text)) is not None:
        power = int((scientific[2] or scientific[4]).replace(" ", "")[:6])
        if abs(power) > MAX_POWER:
            return None
        return Fraction((scientific[1] or scientific[3]).replace(" ", "")) * Fraction(10) ** power
    repeating = _REPEATING.fullmatch(text)
    return _repeating(*repeating.groups()) if repeating else None


@lru_cache(maxsize=8192)
def surd_value(text: str) -> tuple[int, int] | None:
    """(a, n) of a times the root of n without square factors, (a, 0) of a times pi; else None."""
    surd = _SURD.fullmatch(text)
    if surd is None:
        return None
    times = int(f"{surd[1]}1") * int(surd[2] or 1) * int(surd[4] or 1)
    root = int(surd[3] or 0)
    for factor in range(2, math.isqrt(root) + 1):
        while root % factor**2 == 0:
            times, root = times * factor, root // factor**2
    return None if times == 0 or (surd[3] and root < 2) else (times, root)


def in_words(text: str) -> Fraction | None:
    """The number that a text says in English words: twenty-one, two and a half."""
    value = whole_number(text)
    whole, _, part = text.rpartition(" and ")
    if value is None and whole:
        values = whole_number(whole), whole_number(part)
        if values[0] is not None and values[1] is not None and 0 < values[1] < 1:
            return values[0] + values[1]
    return value


def is_finite_decimal(value: Fraction) -> bool:
    """Whether a decimal can say it exactly."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _unwrapped(text: str) -> str:
    """Without brackets around the whole, which only group: (5), {5}."""
    while (
        len(text) > 2
        and text[0] + text[-1] in ("()", "{}")
        and not re.search(r"[(){}]", text[1:-1])
    ):
        text = text[1:-1].strip()
    return text


def _fraction(sign: str, whole: str | None, *parts: str | None) -> Fraction | None:
    over, under = (Fraction(p.replace(" ", "")) for p in parts if p is not None)
    part = over / under
    if whole is None:
        return -part if sign == "-" else part
    if not 0 < part < 1:
        return None
    return -(int(whole) + part) if sign == "-" else int(whole) + part


def _repeating(sign: str, whole: str, fixed: str, *periods: str | None) -> Fraction | None:
    period = periods[0] or periods[1]
    if period is None:  # 0.333...: what stands there at least twice, a single digit three times
        tail = _TAIL.search(fixed)
        if tail is None or (len(tail[1]) == 1 and len(tail[0]) < 3):
            return None
        fixed, period = fixed[: tail.start()], tail[1]
    value = int(whole or 0) + Fraction(int(fixed or 0), 10 ** len(fixed))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return -value if sign == "-" else value
