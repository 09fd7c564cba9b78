"""Whether two answers without inner structure are equal: numbers by value, words by spelling.

What is decided here, where opinions differ:
- x% equals x and x/100; two bare numbers must be equal, so 50 is not 0.5; $0.25 is not 25%.
- A unit, a name or the thing counted may be missing on one side; two must agree (no conversion).
- A rounded decimal equals a value without a finite decimal (1/3, a root) from six decimals and six
  significant digits on; 0.33 is not 1/3, 0.666666 is not 2/3, and 3.14159 is not pi.
- A numeral with a base (52_8) equals itself only, not 52; base ten is the bare numeral.
- 2:30 is a clock time where both sides can be read as one, otherwise a ratio.
- Words are compared without case; "five" equals 5; "at least 5" is not 5.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from utils.answers.reading.names import names_differ, split_name, sum_aloud
from utils.answers.reading.numbers import is_finite_decimal, plain_value, surd_value
from utils.answers.reading.text import same_text
from utils.answers.reading.units import MONTH, split_unit

MIN_DIGITS = 6  # of a decimal that stands for a value it only rounds
_DECIMAL = re.compile(r"[-+]?(\d*)\.(\d+)")
_BASE = re.compile(r"[(⟨\s]*([0-9A-Fa-f]+)[)⟩\s]*_(?:\{\s*)?(\d+|⟨?[a-z]{3,}⟩?)(?:\s*\})?")
_CLOCK = re.compile(r"([01]?\d|2[0-4])\s*:\s*([0-5]\d)(?:\s*:\s*([0-5]\d))?")
_HOUR = re.compile(r"1[0-2]|0?\d")
_RATIO = re.compile(r"\s*:\s*")
_FUNCTIONS = re.compile(r"\\|(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc|log|ln|exp|mod)(?![A-Za-z])")
_PRIMES = re.compile(r"(?<![A-Za-z])[A-Za-z]'+")  # f' is not f
_PROSE = re.compile(r"(?<![A-Za-z\\])(?=[A-Za-z]*[aeiouyAEIOUY])[A-Za-z]{3,}")


class Read(NamedTuple):
    """One answer, taken apart.

    value: None where it is no plain number; clock: minutes after midnight; sides: of a sum done
    aloud, those before the last.
    """

    name: str
    text: str
    value: Fraction | None
    unit: str
    things: frozenset[str]
    percent: bool
    base: tuple[str, int] | None
    clock: Fraction | None
    words: bool
    sides: tuple[str, ...]


@lru_cache(maxsize=8192)
def read(text: str) -> Read:
    """Take a cleaned text apart."""
    name, text = split_name(text)
    sides = sum_aloud(text)
    core, unit, things, percent, scale, changed = split_unit(sides[-1] if sides else text)
    if changed:
        return Read(name, text, None, "", frozenset(), False, None, None, True, ())
    base, numeral = None, _BASE.fullmatch(core)
    radix = plain_value(numeral[2]) if numeral else None
    if numeral and radix == 10:
        core = numeral[1]
    elif numeral and radix:
        base = (numeral[1].lstrip("0").lower(), int(radix))
    clock = _clock(core, unit)
    value = None if base else _ratio(core) if ":" in core else plain_value(core)
    value = value * scale if value is not None else None
    words = value is None and bool("⟨" in text or _PROSE.search(text)) and not _math_in(text)
    core = core if scale == 1 else str(value)
    return Read(name, core, value, unit, things, percent, base, clock, words, tuple(sides[:-1]))


def _clock(core: str, unit: str) -> Fraction | None:
    """Minutes after midnight of 2:30, 14:30, 2:30 PM, 5 pm."""
    half = unit if unit in ("am", "pm") else ""
    if not (_CLOCK.fullmatch(core) or (half and _HOUR.fullmatch(core))):
        return None
    hour, minute, second = [*map(int, re.findall(r"\d+", core)), 0, 0][:3]
    if half:
        hour = hour % 12 + 12 * (half == "pm")
    return Fraction(hour * 60 + minute) + Fraction(second, 60)


def _ratio(core: str) -> Fraction | None:
    parts = [plain_value(part) for part in _RATIO.split(core)]
    if len(parts) != 2 or None in parts or not parts[1]:
        return None
    return parts[0] / parts[1]  # type: ignore[operator]


def _math_in(text: str) -> bool:
    return bool(_FUNCTIONS.search(text)) or "=" in text or "^" in text


def leaves_equal(a: str, b: str) -> bool | None:
    """Compare two cleaned texts; None: math-verify must tell.  Nothing equals an empty text."""
    if not a or not b:
        return False
    x, y = read(a), read(b)
    if _claims_differ(x, y):
        return False
    verdict = _values(x, y)
    return None if verdict and (x.sides or y.sides) else verdict


def _claims_differ(x: Read, y: Read) -> bool:
    """Whether a name, unit, base or thing counted on one side contradicts that on the other."""
    if x.name and y.name and names_differ(x.name, y.name):
        return True
    if x.base != y.base:
        return True
    if x.clock is not None and y.clock is not None:
        return False
    if (x.unit and y.unit and x.unit != y.unit) or (x.percent and y.unit) or (y.percent and x.unit):
        return True
    return bool(x.things and y.things and not x.things & y.things)


def _values(x: Read, y: Read) -> bool | None:
    if x.clock is not None and y.clock is not None:
        return _same_time(x, y)
    if (x.clock is None) != (y.clock is None) and ":" not in (y.text if x.clock else x.text):
        return x.value == y.value if "pm" in x.unit + y.unit or "am" in x.unit + y.unit else False
    if x.base:
        return True
    if x.value is not None and y.value is not None:
        return _values_equal(x, y)
    left, right = same_text(x.text), same_text(y.text)
    if left == right:
        return x.percent == y.percent
    if _PRIMES.findall(left) != _PRIMES.findall(right):
        return False
    surds = surd_value(x.text), surd_value(y.text)
    if all(surds):
        return surds[0] == surds[1] and x.percent == y.percent
    if x.words or y.words or (_is_letter(x) and _is_letter(y)):
        return _plain(left) == _plain(right) or (_date(x.text) == _date(y.text) != [])
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


def _same_time(x: Read, y: Read) -> bool:
    """2:30 may be either half of the day, 14:30 and 2:30 PM may not."""
    a, b = x.clock or Fraction(0), y.clock or Fraction(0)
    if a == b:
        return not (x.unit and y.unit and x.unit != y.unit)
    either = [not one.unit and clock < 13 * 60 for one, clock in ((x, a), (y, b))]
    return either[0] != either[1] and bool(x.unit or y.unit) and abs(a - b) == 12 * 60


def _is_letter(one: Read) -> bool:
    """A lone letter, with or without brackets: a choice, or an unknown; not -x, not A'."""
    is_bare = not re.search("[-']", one.text)
    return one.value is None and is_bare and len(_plain(one.text)) == 1


def _plain(text: str) -> str:
    return re.sub(r"[\s()\[\]{}.,'\"⟨⟩-]", "", text).casefold()


def is_date(text: str) -> bool:
    """Whether a text is a month with a day, or a day and a year."""
    return bool(
        re.fullmatch(r"[\s⟨]*(?:\d+\s*)?⟨?\s*MONTH[\s.⟩]*[\d\s,⟩]*", MONTH.sub("MONTH", text))
    )


def _date(text: str) -> list[str]:
    """The parts of a date in any order; [] for what is none."""
    if not (month := MONTH.search(text)) or not re.search(r"\d", text):
        return []
    return sorted([month[0][:3].lower(), *re.findall(r"\d+", text)])


def _values_equal(x: Read, y: Read) -> bool:
    for one, other in ((x, y), (y, x)):
        assert one.value is not None and other.value is not None
        for times in (1, 100) if one.percent and not other.percent else (1,):
            wanted = other.value * times
            if one.value == wanted or (
                not is_finite_decimal(wanted) and rounds_to(wanted, one.text)
            ):
                return True
    return False


def rounds_to(value: Fraction, text: str) -> bool:
    """Whether `text` is a decimal with enough digits that `value` rounds to."""
    match = _DECIMAL.fullmatch(text.replace(" ", ""))
    if match is None or len(match[2]) < MIN_DIGITS:
        return False
    if len((match[1] + match[2]).lstrip("0")) < MIN_DIGITS:
        return False
    return abs(value - Fraction(match[0])) <= Fraction(1, 2 * 10 ** len(match[2]))
