"""The value of an expression without unknowns, exact where it is rational: numbers in LaTeX or
plain text, + - * / ^ !, fractions, mixed numbers, roots, pi, e, i.

It never takes long: depth, length and the size of every intermediate number are bounded, and what
goes beyond, or is not arithmetic, is `NotArithmetic`.
"""

from __future__ import annotations

import cmath
import math
import re
from fractions import Fraction
from functools import lru_cache

Number = Fraction | complex  # complex: not rational, or not known to be; about 15 digits

MAX_LENGTH, MAX_DEPTH, MAX_BITS, MAX_FACTORIAL = 400, 30, 4000, 200
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_PLAIN = re.compile(rf"[+-]?\s*{_NUMBER}")
_MIXED = re.compile(r"([+-]?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)")
_TOKEN = re.compile(rf"\s*({_NUMBER}(?:[eE][+-]?\d+(?![\w.]))?|\\[A-Za-z]+|\S)")
_CONSTANTS: dict[str, Number] = {
    r"\pi": complex(math.pi), "e": complex(math.e), "i": 1j, r"\mathrm{i}": 1j,
}  # fmt: skip
_TIMES = frozenset({"*", r"\cdot", r"\times", r"\ast"})
_DIVIDED = frozenset({"/", r"\div", ":"})
_CLOSER = {"(": ")", "{": "}", "[": "]"}
_INFINITY = re.compile(r"([+-]?)\s*(?:\\infty|infinity|oo)")


class NotArithmetic(ValueError):
    """Not an expression of numbers, or one too large to look at."""


@lru_cache(maxsize=8192)
def value_of(text: str) -> Number | None:
    """The value of a cleaned expression (see `utils.answers.text.clean`), or None."""
    if len(text) > MAX_LENGTH:
        return None
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return Fraction(text.replace(" ", ""))
    if infinite := _INFINITY.fullmatch(text):
        return complex(-math.inf if infinite[1] == "-" else math.inf)
    try:
        if mixed := _MIXED.fullmatch(text):
            return _mixed(*mixed.groups())
        return _bounded(_Parser(text).whole())
    except (NotArithmetic, ZeroDivisionError, OverflowError):
        return None


def _mixed(sign: str, whole: str, over: str, under: str) -> Fraction:
    value = int(whole) + Fraction(int(over), int(under))
    return -value if sign == "-" else value


class _Parser:
    """Recursive descent; every method returns the value of what it read."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.place = 0
        self.depth = 0

    def whole(self) -> Number:
        value = self.sum()
        if self.place != len(self.tokens):
            raise NotArithmetic(self.peek())
        return value

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def expect(self, token: str) -> None:
        if self.next() != token:
            raise NotArithmetic(f"no {token}")

    def sum(self) -> Number:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotArithmetic("too deep")
        value = self.product()
        while (sign := self.peek()) in ("+", "-"):
            self.next()
            other = self.product()
            value = _bounded(value + other if sign == "+" else value - other)
        self.depth -= 1
        return value

    def product(self) -> Number:
        value = self.signed()
        while token := self.peek():
            if token in _TIMES:
                self.next()
                value = _bounded(value * self.signed())
            elif token in _DIVIDED:
                self.next()
                value = _divide(value, self.signed())
            elif token in _CONSTANTS or token in ("(", "{", r"\frac", r"\sqrt"):
                if token == r"\frac" and (part := self.mixed_part()) is not None:
                    value = _bounded(value - part if value.real < 0 else value + part)
                else:
                    value = _bounded(value * self.power())
            else:
                break
        return value

    def mixed_part(self) -> Fraction | None:
        """The fraction of 2\\frac{1}{2}, where a whole number stands right before it."""
        before = self.tokens[self.place - 1]
        start = self.tokens[self.place - 2] if self.place > 1 else ""
        if not before.isdigit() or start in ("^", "}", "!") or start in _DIVIDED:
            return None
        ahead = self.place
        part = self.power()
        if isinstance(part, Fraction) and 0 < part < 1 and self.peek() not in ("^", "!"):
            return part
        self.place = ahead
        return None

    def signed(self) -> Number:
        negative = False
        while (token := self.peek()) in ("+", "-"):
            self.next()
            negative ^= token == "-"
        value = self.power()
        return -value if negative else value

    def power(self) -> Number:
        value = self.atom()
        while (token := self.peek()) in ("^", "!"):
            self.next()
            value = _factorial(value) if token == "!" else _power(value, self.exponent())
        return value

    def exponent(self) -> Number:
        """a^b^c is a^(b^c)."""
        value = self.argument()
        if self.peek() == "^":
            self.next()
            return _power(value, self.exponent())
        return value

    def argument(self) -> Number:
        """What a command or ^ takes: a group, a sign with what follows, or one thing."""
        if self.peek() in ("-", "+"):
            return self.signed()
        return self.atom()

    def atom(self) -> Number:
        token = self.next()
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token[:1].isdigit() or (token[:1] == "." and len(token) > 1):
            if self.peek()[:1].isdigit():
                raise NotArithmetic("two numbers side by side")
            return _literal(token)
        if token in _CLOSER:
            value = self.sum()
            self.expect(_CLOSER[token])
            return value
        if token == r"\frac":
            over = self.argument()
            return _divide(over, self.argument())
        if token == r"\sqrt":
            return self.root()
        raise NotArithmetic(token)

    def root(self) -> Number:
        degree: Number = Fraction(2)
        if self.peek() == "[":
            degree = self.atom()
        return _power(self.argument(), _divide(Fraction(1), degree))


def _literal(token: str) -> Fraction:
    mantissa, _, exponent = token.lower().partition("e")
    if len(exponent) > 4 or abs(int(exponent or 0)) > MAX_BITS // 8:
        raise NotArithmetic("exponent")
    return Fraction(mantissa) * Fraction(10) ** int(exponent or 0)


def _bounded(value: Number) -> Number:
    if isinstance(value, Fraction):
        if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
            raise NotArithmetic("too large")
    elif not cmath.isfinite(value):
        raise NotArithmetic("not finite")
    return value


def _divide(value: Number, by: Number) -> Number:
    return _bounded(value / by)


def _factorial(value: Number) -> Fraction:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
        raise NotArithmetic("factorial")
    return Fraction(math.factorial(int(value)))


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        bits = base.numerator.bit_length() + base.denominator.bit_length()
        if bits * abs(exponent) > MAX_BITS:
            raise NotArithmetic("too large")
        if exponent.denominator == 1:
            return base ** int(exponent)
        if (exact := _exact_root(base, exponent.denominator)) is not None:
            return exact**exponent.numerator
        if base < 0 and exponent.denominator % 2 == 1:  # the real root, as schools have it
            return complex(-(float(-base) ** (1 / exponent.denominator))) ** exponent.numerator
    return _bounded(complex(base) ** complex(exponent))


def _exact_root(base: Fraction, degree: int) -> Fraction | None:
    """The rational root of that degree, if there is one; of negatives, for odd degrees."""
    if base < 0:
        root = _exact_root(-base, degree) if degree % 2 else None
        return None if root is None else -root
    over, under = (_whole_root(part, degree) for part in (base.numerator, base.denominator))
    return None if over is None or under is None else Fraction(over, under)


def _whole_root(number: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(number)
    elif number.bit_length() <= 1000 and degree <= 64:
        root = round(number ** (1 / degree))
    else:
        return None
    return root if root**degree == number else None
