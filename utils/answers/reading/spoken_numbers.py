"""Numbers that a text says, in digits, LaTeX or English words, each with where it stands.

What counts as one number: 1,000 and 1{,}000 (thousands), 2.8, 1/2, 2 1/2, \\frac{3}{4}, 50%,
3.2 x 10^5, 3 million, "twenty-one", "one hundred and five", "three quarters", "two and a half",
"half a dozen", "three point one four".  What does not: ordinals (8th, third), digits glued to a
letter before them (x8, x_8), exponents of letters (x^2, cm^2), list markers that count up (1. 2.
3.), "step 2" and its like, and "one" as a pronoun.  16/2 is the two numbers 16 and 2, a division
still to be done; 8/3 is one.
"""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache

from utils.answers.reading.number_words import numbers_in_words


class NumberInText(Fraction):
    """A number (equal to and hashed as its value), with its span in the text.

    `percent`: a percent sign or word follows; the value is what stands before it (50% is 50).
    """

    __slots__ = ("end", "percent", "start")
    start: int
    end: int
    percent: bool

    @classmethod
    def at(cls, value: Fraction, start: int, end: int, percent: bool = False) -> NumberInText:
        number = cls(value)
        number.start, number.end, number.percent = start, end, percent
        return number


_LATEX_FRACTION = r"""(?:(?<!\d)(?P<whole>\d++)\s*+)?\\[dtc]?frac\s*
    (?:\{\s*(?P<over>-?\d+(?:\.\d+)?)\s*\}|(?P<over1>\d))\s*
    (?:\{\s*(?P<under>\d+(?:\.\d+)?)\s*\}|(?P<under1>\d))"""
_DECIMAL = r"(?:\d{1,3}(?:(?:,|\{,\}|,?\\[,!])\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_DIGITS = re.compile(
    rf"""(?=[\d.\\])(?:{_LATEX_FRACTION}
    |(?:(?<![A-Za-z0-9_])(?<!\d\.)(?<!_\{{)|(?<=\\sqrt)|(?<=\\times)|(?<=\\cdot))
     (?P<number>{_DECIMAL})
     (?:\ (?P<mixed_over>\d+)/(?P<mixed_under>\d+)(?![\d/])|/(?P<divisor>\d+)(?![\d/]|\.\d))?
     (?:\s*(?:\\times|\\cdot|[x×*])\s*10\s*\^\s*\{{?\s*(?P<power>-?\d{{1,3}})\}}?)?
     (?:\s+(?P<scale>hundred|thousand|million|billion|trillion|dozen)\b)?)""",
    re.VERBOSE | re.IGNORECASE,
)
_PERCENT = re.compile(r"\s?\\?%|\s+per\s?cent\b", re.IGNORECASE)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_LABELLED = re.compile(
    r"(?:step|part|question|problem|exercise|example|hint|method|option|equation|stage)"
    r"s?[ ]#?$",
    re.IGNORECASE,
)
_SIGN_WORD = re.compile(  # x is minus 3; not 5 minus 3, nor x minus 3
    r"(?:(?:^|[^\w\s)\]}$%]|\b(?:is|are|be|to|get|was|equals|gives|says|of|by|or|and))\s*)"
    r"(?P<sign>\b(?:negative|minus) )$", re.IGNORECASE
)  # fmt: skip
_EXPONENT = re.compile(r"[A-Za-z)\]}]\s?\^\{?$")
_MARKER = re.compile(r"^[ \t]*(?:\*\*)?(\d{1,2})[.)](?:\*\*)?[ \t]+(?=\S)", re.MULTILINE)
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9,
           "trillion": 10**12, "dozen": 12}  # fmt: skip
_MAX_DIGITS = 100


def numbers_in(text: str) -> list[NumberInText]:
    """The numbers that a text says, from left to right; spans are indices into `text`."""
    return list(_numbers(text))


@lru_cache(maxsize=4096)
def _numbers(text: str) -> tuple[NumberInText, ...]:
    if text.isascii():
        return tuple(_mixed(text, _all(text)))
    plain, places = _plain(text)
    return tuple(
        NumberInText.at(n, places[n.start], places[n.end - 1] + 1, n.percent)
        for n in _mixed(plain, _all(plain))
    )


def _plain(text: str) -> tuple[str, list[int]]:
    """Digits of every script as ASCII, invisible characters dropped; and where each came from."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        new = _plain_character(character)
        characters.append(new)
        places += [place] * len(new)
    return "".join(characters), places


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character.isascii() or character == "×":
        return character
    kind, form = unicodedata.category(character), unicodedata.decomposition(character)
    if kind == "Cf":
        return ""
    if form.startswith("<fraction>"):
        return f" {unicodedata.normalize('NFKC', character)} ".replace("\u2044", "/")
    if character == "\u2212":
        return "-"
    if kind in ("Nd", "No") and not form.startswith(("<super>", "<sub>")):
        digit = unicodedata.digit(character, None)
        return character if digit is None else str(digit)
    normal = unicodedata.normalize("NFKC", character)
    return normal if len(normal) == 1 and not form.startswith(("<super>", "<sub>")) else character


def _all(text: str) -> list[NumberInText]:
    found = [*_in_digits(text), *_in_words(text)]
    found.sort(key=lambda number: number.start)
    return found


def _in_digits(text: str) -> Iterator[NumberInText]:
    markers = _list_markers(text)
    for match in _DIGITS.finditer(text):
        start, end = match.span()
        if start in markers or end - start > _MAX_DIGITS or _ORDINAL.match(text, end):
            continue
        if start and text[start - 1] in "^{" and _EXPONENT.search(text, max(0, start - 4), start):
            continue
        if start and text[start - 1] in " #" and _LABELLED.search(text, max(0, start - 12), start):
            continue
        percent = _PERCENT.match(text, end)
        values = list(_values(match))
        if sign := _negative(text, start):
            start -= sign
            values[0] = (-values[0][0], start, values[0][2])
        for value, first, last in values[:-1]:
            yield NumberInText.at(value, first, last)
        value, first, last = values[-1]
        yield NumberInText.at(value, first, percent.end() if percent else last, bool(percent))


def _values(match: re.Match[str]) -> Iterator[tuple[Fraction, int, int]]:
    """The number of one match, or the two of a division that comes out whole."""
    start, end = match.span()
    if match["number"] is None:
        over, under = match["over"] or match["over1"], match["under"] or match["under1"]
        if Fraction(under) == 0:
            yield Fraction(over), start, end
            return
        part, whole = Fraction(over) / Fraction(under), Fraction(match["whole"] or 0)
        yield whole + part, start, end
        return
    value = Fraction(re.sub(r"[^\d.]", "", match["number"]))
    if match["mixed_under"] and int(match["mixed_under"]):
        value += Fraction(int(match["mixed_over"]), int(match["mixed_under"]))
    elif match["divisor"]:
        divisor = int(match["divisor"])
        chained = match.string[start - 1 : start] == "/"
        if chained or divisor == 0 or (value / divisor).denominator == 1:
            yield value, start, match.end("number")
            yield Fraction(divisor), match.start("divisor"), match.end("divisor")
            return
        value /= divisor
    if match["power"]:
        value *= Fraction(10) ** int(match["power"])
    if match["scale"]:
        value *= _SCALES[match["scale"].lower()]
    yield value, start, end


def _negative(text: str, start: int) -> int:
    """How long the sign before a number is; 0 for none, a subtraction or a hyphen."""
    if said := _SIGN_WORD.search(text, max(0, start - 20), start):
        return len(said["sign"])
    if start == 0 or text[start - 1] != "-":
        return 0
    before = text[: start - 1]
    if before and (before[-1].isalnum() or before[-1] in ")]}-"):
        return 0
    return int(not before.rstrip()[-1:].isdigit())


def _list_markers(text: str) -> set[int]:
    """Where list markers stand: 1 is one, and so is each that counts on from the last."""
    found: set[int] = set()
    expected = 1
    for match in _MARKER.finditer(text):
        if int(match[1]) == expected:
            found.add(match.start(1))
            expected += 1
    return found


def _in_words(text: str) -> Iterator[NumberInText]:
    for value, start, end in numbers_in_words(text):
        if _LABELLED.search(text, max(0, start - 12), start):
            continue
        percent = _PERCENT.match(text, end)
        yield NumberInText.at(value, start, percent.end() if percent else end, bool(percent))


def _mixed(text: str, numbers: Iterable[NumberInText]) -> Iterator[NumberInText]:
    """Join a whole number and a fraction with "and" between: "two and a half", "3 and 1/4"."""
    last: NumberInText | None = None
    for number in numbers:
        if last is None:
            last = number
        elif number.start < last.end:  # "3 million": digits that took the word with them
            continue
        elif (
            last.denominator == 1 and last > 0 and 0 < number < 1 and not last.percent
            and text[last.end : number.start] == " and "
        ):  # fmt: skip
            last = NumberInText.at(last + number, last.start, number.end, number.percent)
        else:
            yield last
            last = number
    if last is not None:
        yield last
