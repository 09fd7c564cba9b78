"""What stands around a number: units, currencies, percent signs, counted things, and the words that
change what it says.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from utils.answers.reading.numbers import in_words
from utils.answers.reading.text import DOLLAR

_TABLE = (
    "mm millimeter millimetre | cm centimeter centimetre | dm | m meter metre | km kilometer "
    "kilometre | in inch inche | ft foot feet | yd yard | mi mile | s sec second | min minute | "
    "h hr hour | day | week | month | year yr | g gram | kg kilogram | mg milligram | lb pound | "
    "oz ounce | l liter litre | ml milliliter millilitre | gal gallon | dollar usd | cent | "
    "euro eur | deg degree | rad radian | ton tonne | mph | kph | am a.m | pm p.m"
)
_UNITS = {
    spelling: names.split()[0]
    for names in _TABLE.split("|")
    for name in names.split()
    for spelling in (name, f"{name}s")
}
_COMPOUND = {"mph": "mi/h", "kph": "km/h"}
_POWERS = {"square": "2", "sq": "2", "squared": "2", "cubic": "3", "cu": "3", "cubed": "3"}
_CURRENCIES = {DOLLAR: "dollar", "€": "euro", "£": "lb", "¥": "yen", "₹": "rupee"}
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9,
           "trillion": 10**12, "dozen": 12}  # fmt: skip
_FILLERS = frozenset(
    "unit units total in of the a an all per each and respectively".split()  # noqa: SIM905
)
# words that make another claim of a number: at least 5, 5 or more, not 5, 5 less than Bob
_QUALIFIERS = frozenset(
    """not least most more less fewer over under above below greater smaller larger than between
    after before except without minus plus times almost nearly up only times multiplied divided
    subtracted added never cannot wrong incorrect impossible or root half twice double triple
    squared cubed sum product difference quotient reciprocal inverse opposite negative""".split()  # noqa: SIM905
)
_NOT_UNITS = frozenset(
    "sin cos tan cot sec csc log ln exp sqrt pi mod max gcd lcm lim det or".split()  # noqa: SIM905
)
MONTH = re.compile(
    r"(?i)\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b"
)
_LETTER = r"[^\W\d_]"
_TAIL = re.compile(
    rf"(?:⟨(?P<marked>[^⟨⟩]*)⟩|(?P<plain>(?<!\\)(?<!{_LETTER}){_LETTER}(?:{_LETTER}|\.)*))"
    r"\s*(?:\^\s*\{?\s*(?P<power>[23])\s*\}?)?\s*$"
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?\s*⟨?(?P<scale>[CFK]\b)?⟩?\s*$")
_OF_AN_ANGLE = re.compile(r"\\(?:arc)?(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_FACTOR = re.compile(r"(?<![A-Za-z\\⟨])[A-Za-z]\s+$")  # r of 2\pi r h
_PERCENT = re.compile(r"(.*?)\s*(?:\\?%|⟨?\s*(?:per\s?cent(?:age)?|pct)\s*⟩?)", re.IGNORECASE)
_HEAD = re.compile(rf"(-?)\s*(?:([€£¥₹{DOLLAR}])|USD|Rs\.?)\s*")
_MODULUS = re.compile(r"\s*\(?\s*\\(?:pmod|bmod|mod)\s*\{?\s*(\w+)\s*\}?\s*\)?$")


class Quantity(NamedTuple):
    """A cleaned text without what stands around its number.

    unit: "" where none is known; things: stems of the words that name what is counted; scale: 10**6
    for a million; changed: a word makes another claim of the number (at least, or more, not).
    """

    core: str
    unit: str = ""
    things: frozenset[str] = frozenset()
    percent: bool = False
    scale: int = 1
    changed: bool = False


@lru_cache(maxsize=8192)
def split_unit(text: str) -> Quantity:
    """Take units, percent signs, currencies and counted things off a cleaned text."""
    text, currency = _currency(text)
    if percent := _PERCENT.fullmatch(text):
        return Quantity(percent[1].strip(), percent=True)
    if (degrees := _DEGREES.search(text)) and not _OF_AN_ANGLE.search(text):
        scale_of = frozenset(filter(None, [degrees["scale"]]))
        return Quantity(text[: degrees.start()].strip(), "deg", scale_of)
    if (modulus := _MODULUS.search(text)) and re.search(r"\(|\\pmod", modulus[0]):
        return Quantity(text[: modulus.start()].strip(), f"mod {modulus[1]}")
    words: list[str] = []
    while in_words(text.strip("⟨⟩ ")) is None and (tail := _TAIL.search(text)):
        found = _words(text, tail)
        if found is None:
            break
        words[:0] = found
        text = text[: tail.start()].rstrip().removesuffix("/").rstrip()
    scale = 1
    while words and words[0] in _SCALES:
        scale *= _SCALES[words.pop(0)]
    unit, things = _named(words)
    changed = bool(_QUALIFIERS & set(words if not unit else words[1:]))
    if text.endswith("%"):  # 5% of the students
        return Quantity(text[:-1].rstrip(), "", things, True, scale, changed)
    return Quantity(text, currency or unit, things, False, scale, changed)


def quantities(text: str) -> list[str]:
    """The parts of 3 hours 30 minutes; [] for other texts."""
    parts = re.split(r"(?<=[A-Za-z.⟩])[\s,]+(?=\d)", text)
    whole = len(parts) > 1 and all(part[:1].isdigit() and split_unit(part).unit for part in parts)
    return parts if whole else []


def changes_claim(words: str) -> bool:
    """Whether words around a number make another claim of it."""
    return not _QUALIFIERS.isdisjoint(re.findall(r"[a-z]+", words.lower()))


def _currency(text: str) -> tuple[str, str]:
    """A text without the currency on either side of its number, and which that is."""
    if text[-1:] in _CURRENCIES and text[:-1].strip():
        return text[:-1].strip(), _CURRENCIES[text[-1]]
    if head := _HEAD.match(text):
        return head[1] + text[head.end() :], _CURRENCIES.get(head[2] or "", "")
    return text, ""


def _words(text: str, tail: re.Match[str]) -> list[str] | None:
    """The words of a tail, or None where it is no unit but part of the expression."""
    before = text[: tail.start()]
    if not re.search(r"\d|\\pi", before) and in_words(before.strip("⟨⟩ ")) is None:
        return None
    words = re.findall(rf"(?:{_LETTER}|\.)+", (tail["marked"] or tail["plain"]).lower())
    spaced = before[-1:].isspace() or bool(re.search(r"[A-Za-z⟩]\s*/$", before))
    if tail["plain"] and not _is_plain_unit(words[0], spaced):
        return None
    if tail["plain"] and len(words[0]) == 1 and _FACTOR.search(before):
        return None
    return words + ([f"^{tail['power']}"] if tail["power"] else [])


def _named(words: list[str]) -> tuple[str, frozenset[str]]:
    """The known units among the words, with their powers ("square cm" is cm2, as is "cm ^2"), and
    the stems of the others."""
    units: list[str] = []
    things: set[str] = set()
    ahead = ""
    for word in words:
        word = word if word in _UNITS else word.rstrip(".")
        power = _POWERS.get(word, word[1:] if word.startswith("^") else "")
        if word in _UNITS:
            units.append(_COMPOUND.get(_UNITS[word], _UNITS[word]) + ahead)
        elif units and word.endswith(("ed", "2", "3")) and power:
            units[-1] += power
        elif word and not power and word not in _FILLERS:
            things.add(re.sub(r"(?:es|s)$", "", word))
        ahead = power
    return "/".join(units), frozenset(things)


def _is_plain_unit(word: str, spaced: bool) -> bool:
    """Whether a word outside \\text{} can be a unit: one letter, and words that are not in the
    table, only after a space; 5m is five times m."""
    if word in _NOT_UNITS or MONTH.fullmatch(word):
        return False
    if not word.isascii() or (word in _UNITS and len(word) > 1):
        return True
    if word in _UNITS:
        return spaced
    return spaced and (word in _POWERS or (len(word) > 1 and bool(re.search("[aeiouy]", word))))
