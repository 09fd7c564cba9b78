"""Whether two answers without inner structure are equal: numbers by value, words by spelling.

What is decided here, where opinions differ:
- x% equals x and x/100; two bare numbers must be equal, so 50 is not 0.5.
- A unit may be missing on one side; two known units must agree (no conversion).
- A rounded decimal equals a value without a finite decimal (1/3, a root) from six significant
  digits on; 0.33 is not 1/3, and 0.666666 is not 2/3 (it rounds to 0.666667).
- "x = 3" equals 3; it does not equal "y = 3", where both names are single letters.
- A numeral with a base (52_8) equals itself only, not 52.
- Words are compared without case; "five" equals 5.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from utils.answers.arithmetic import Number, value_of
from utils.answers.number_words import whole_number
from utils.answers.text import same_text, split_unit

_DECIMAL = re.compile(r"[-+]?(\d*)\.(\d+)")
_BASE = re.compile(r"([0-9A-Fa-f]+)_(?:\{\s*)?(\d+)(?:\s*\})?")
_NAME = re.compile(r"\s*[A-Za-z\\⟨][A-Za-z0-9\\\s'{}⟨⟩_]*(?:\([^()]*\)\s*)?")
_COUNT = re.compile(r"(?<![A-Za-z0-9_])(?<!_\{)\d")  # a number: 3x is no name, x3 and x_3 are
_FUNCTIONS = re.compile(r"\\|(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc|log|ln|exp|mod)(?![A-Za-z])")
_PROSE = re.compile(r"(?<![A-Za-z\\])(?=[A-Za-z]*[aeiouyAEIOUY])[A-Za-z]{3,}")
_MIN_DIGITS = 6
_SAME, _DIFFERENT = 1e-12, 1e-6  # relative differences of inexact values


class Read(NamedTuple):
    """One answer, taken apart; `value` None: not a number that plain arithmetic can tell."""

    name: str
    text: str
    value: Number | None
    unit: str
    percent: bool
    base: tuple[str, int] | None
    words: bool


@lru_cache(maxsize=8192)
def read(text: str) -> Read:
    """Take a cleaned text apart."""
    name, text = _split_name(text)
    core, unit, percent = split_unit(text)
    core = core.strip()
    base = None
    if numeral := _BASE.fullmatch(core):
        base = (numeral[1].lstrip("0").lower(), int(numeral[2]))
    value = None if base else value_of(core)
    if (value is None and core[:1].isalpha()) or core[:1] == "⟨":
        value = whole_number(core.strip("⟨⟩ "))
    words = value is None and bool("⟨" in text or _PROSE.search(text)) and not _math_in(text)
    return Read(name, core, value, unit, percent, base, words)


def _split_name(text: str) -> tuple[str, str]:
    """Take "x = " off, and a sum done aloud: of "3 + 4 = 7" the last, if all sides agree."""
    name, _, rest = text.partition("=")
    if rest.strip() and _NAME.fullmatch(name) and not _COUNT.search(name.partition("(")[0]):
        if "=" not in rest:
            return same_text(name), rest.strip()
        text = rest
    sides = text.split("=")
    if len(sides) > 1:
        values = [value_of(split_unit(side.strip()).core) for side in sides]
        if values[0] is not None and all(v == values[0] for v in values):
            return "", sides[-1].strip()
    return "", text


def _math_in(text: str) -> bool:
    return bool(_FUNCTIONS.search(text)) or "=" in text or "^" in text


def leaves_equal(a: str, b: str) -> bool | None:
    """Compare two cleaned texts; None: sympy must tell.  Nothing equals an empty text."""
    if not a or not b:
        return False
    x, y = read(a), read(b)
    if x.name != y.name and len(x.name) == len(y.name) == 1:
        return False
    if x.base or y.base:
        return x.base == y.base
    if x.unit and y.unit and x.unit != y.unit:
        return False
    if x.value is not None and y.value is not None:
        return _values_equal(x, y)
    left, right = same_text(x.text), same_text(y.text)
    if left == right:
        return x.percent == y.percent
    if x.words or y.words or (_is_letter(x) and _is_letter(y)):
        return _plain(left) == _plain(right)
    if (_is_letter(x) and y.value is not None) or (_is_letter(y) and x.value is not None):
        return False
    equations = ["=" in left, "=" in right]
    if any(equations) and not all(e or r.name for e, r in zip(equations, (x, y), strict=True)):
        return False
    return None


def is_plain(text: str) -> bool:
    """Whether a cleaned text is a number or words: nothing that sympy knows more about."""
    one = read(text)
    return one.value is not None or one.base is not None or one.words


def _is_letter(one: Read) -> bool:
    """A lone letter, with or without brackets: a choice, or an unknown."""
    return one.value is None and len(_plain(one.text)) == 1


def _plain(text: str) -> str:
    return re.sub(r"[\s()\[\]{}.,'\"⟨⟩-]", "", text).casefold()


def _values_equal(x: Read, y: Read) -> bool | None:
    assert x.value is not None and y.value is not None
    plain = _numbers_equal(x.value, y.value, x.text, y.text)
    if x.percent == y.percent or plain:
        return plain
    if x.percent:
        return _numbers_equal(x.value / 100, y.value, "", y.text)
    return _numbers_equal(x.value, y.value / 100, x.text, "")


def _numbers_equal(x: Number, y: Number, x_text: str, y_text: str) -> bool | None:
    if x == y or _rounds_to(y, x, x_text) or _rounds_to(x, y, y_text):
        return True
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return False
    try:
        left, right = complex(x), complex(y)
    except OverflowError:
        return None
    scale, difference = max(abs(left), abs(right)), abs(left - right)
    if not math.isfinite(scale):
        return left == right
    if scale < _DIFFERENT:  # what is left of a cancellation, perhaps
        return None
    if difference <= _SAME * scale:
        return True
    return False if difference > _DIFFERENT * scale else None


def _rounds_to(value: Number, decimal: Number, text: str) -> bool:
    """Whether `text` (of value `decimal`) is `value` rounded, and that has no finite decimal."""
    match = _DECIMAL.fullmatch(text.replace(" ", ""))
    if match is None or len((match[1] + match[2]).lstrip("0")) < _MIN_DIGITS:
        return False
    if isinstance(value, Fraction):
        rest = value.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        return rest > 1 and abs(value - Fraction(match[0])) <= Fraction(1, 2 * 10 ** len(match[2]))
    return abs(value - complex(decimal)) <= 0.5000001 * 10.0 ** -len(match[2])
