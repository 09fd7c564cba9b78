"""Where a text says an answer: every place, in any spelling.

A number is said in any spelling (digits, words, LaTeX; 0.5 for 1/2; see
`utils.answers.reading.spoken_numbers`), a list of numbers in its order, another expression by its
normalised text, a word as a whole word.  A single letter, or a word such as "yes", is said only
with an "answer is" before it.
"""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from utils.answers.leaf import read
from utils.answers.reading.spoken_numbers import NumberInText, numbers_in
from utils.answers.reading.text import clean, join_thousands

_COMMON = frozenset({"yes", "no", "true", "false", "none"})
_ANNOUNCED = (
    r"(?:answer|option|choice|result|solution)(?:\s+(?:is|was|should\s+be|would\s+be))?\s*[:=]?"
    r"\s*[\"'(*$]*"
)
_BETWEEN = re.compile(
    r"[\s,;()\[\]$&]*+(?:and|or)?[\s,;()\[\]$&]*+(?:[a-z](?:_\d)?\s*=\s*)?", re.IGNORECASE
)
_RATIO = re.compile(r"\s*\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+\s*")
_SPELLINGS = (
    (re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (
        re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])|\\[,;:! ]|\\[()\[\]]|[\s${}*⟨⟩⦃⦄]"),
        "",
    ),
    (re.compile(r"\\sqrt|√|sqrt"), "√"),
    (re.compile(r"\\pi|π|(?<![A-Za-z])pi(?![A-Za-z])"), "π"),
    (re.compile(r"\\infty|∞"), "∞"),
    (re.compile(r"\\(?:leqslant|leq?)(?![a-z])|≤|<="), "≤"),
    (re.compile(r"\\(?:geqslant|geq?)(?![a-z])|≥|>="), "≥"),
    (re.compile("²"), "^2"),
    (re.compile("³"), "^3"),
    (re.compile(r"\\(?:cdot|times)|[·×]"), ""),
    (re.compile(r"√\(([^()]*)\)"), r"√\1"),
    (re.compile(r"[−–]"), "-"),
)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What to look for: a number, numbers in order, or a normalised expression."""

    number: Fraction | None = None
    percent: bool = False
    numbers: tuple[Fraction, ...] = ()
    in_order: bool = True
    words: re.Pattern[str] | None = None
    expression: str = ""


def said_in(text: str, answer: str) -> tuple[int, int] | None:
    """The span of `text` that says the answer first, or None."""
    return next(mentions(text, answer), None)


def mentions(text: str, answer: str) -> Iterator[tuple[int, int]]:
    """The spans of `text` that say the answer, from left to right."""
    wanted = _answer(answer)
    if wanted.number is not None:
        yield from ((n.start, n.end) for n in numbers_in(text) if _says(n, wanted))
    elif wanted.numbers:
        yield from _sequences(text, wanted.numbers, wanted.in_order)
    elif wanted.words is not None:
        yield from (match.span("answer") for match in wanted.words.finditer(text))
    elif wanted.expression:
        yield from _expressions(text, wanted.expression)


def _says(said: NumberInText, wanted: _Answer) -> bool:
    """x% is said as x or as x/100."""
    if said == wanted.number:
        return True
    if said.percent:
        return said / 100 == wanted.number
    return wanted.percent and said * 100 == wanted.number


@lru_cache(maxsize=4096)
def _answer(answer: str) -> _Answer:
    text = join_thousands(clean(answer[:1000]))
    one = read(text)
    if _RATIO.fullmatch(one.text):  # 3:4, 2:30
        ratio = r"\s*(?::|\bto\b)\s*".join(re.escape(p.strip()) for p in one.text.split(":"))
        return _Answer(words=re.compile(rf"(?<![\w:.])(?P<answer>{ratio})(?!\w|[:.]\d)"))
    if isinstance(one.value, Fraction):
        return _Answer(number=one.value, percent=one.percent)
    numbers = tuple(Fraction(n) for n in numbers_in(answer))
    if len(numbers) > 1 and next(_sequences(answer, numbers), None) == (0, len(answer)):
        return _Answer(numbers=numbers, in_order="(" in answer or "[" in answer)
    words = re.sub(r"[⟨⟩()]", "", text).strip()
    if one.words or re.fullmatch(r"[A-Za-z]", words):
        if not words:
            return _Answer()
        pattern = r"\s+".join(re.escape(word) for word in words.split())
        lead = _ANNOUNCED if len(words) == 1 or words.lower() in _COMMON else ""
        return _Answer(
            words=re.compile(rf"{lead}(?<!\w)(?P<answer>{pattern})(?!\w)", re.IGNORECASE)
        )
    return _Answer(expression=_normal(answer)[0])


def _sequences(
    text: str, wanted: Sequence[Fraction], in_order: bool = True
) -> Iterator[tuple[int, int]]:
    """Where the wanted numbers stand side by side, with only commas, brackets, names between."""
    said = numbers_in(text)
    for first in range(len(said) - len(wanted) + 1):
        run = said[first : first + len(wanted)]
        if list(run) != list(wanted) and (in_order or sorted(run) != sorted(wanted)):
            continue
        if all(_BETWEEN.fullmatch(text, a.end, b.start) for a, b in pairwise(run)):
            start, end = run[0].start, run[-1].end
            whole = not text[:start].strip(" ([{\\$") and not text[end:].strip(" )]}\\$")
            yield (0, len(text)) if whole else (start, end)


def _normal(text: str) -> tuple[str, list[int]]:
    """A text without spaces and LaTeX dress, in lower case; and where each character stood."""
    pieces, places = text, list(range(len(text)))
    for pattern, new in _SPELLINGS:
        built: list[str] = []
        kept: list[int] = []
        last = 0
        for match in pattern.finditer(pieces):
            built.append(pieces[last : match.start()])
            kept += places[last : match.start()]
            replacement = match.expand(new)
            built.append(replacement)
            ends = [places[match.start()]] * (len(replacement) - 1) + [places[match.end() - 1]]
            kept += ends[-len(replacement) :] if replacement else []
            last = match.end()
        built.append(pieces[last:])
        kept += places[last:]
        pieces, places = "".join(built), kept
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in pieces), places


def _expressions(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    """The spans of a normalised expression that is not a part of a longer one."""
    normal, places = _normal(text)
    start = normal.find(wanted)
    while start != -1:
        end = start + len(wanted)
        if _ends_there(text, wanted, places[start], places[end - 1]):
            yield places[start], places[end - 1] + 1
        start = normal.find(wanted, start + 1)


def _ends_there(text: str, wanted: str, first: int, last: int) -> bool:
    """Whether neither end runs on: no letter, digit or operator glued to it in the text."""
    before, after = text[:first][-1:], text[last + 1 :][:1]
    if wanted[0] not in "([-+" and before and (before.isalnum() or before in "\\^_.)}"):
        return False
    if wanted[-1] not in ")]" and after.isalnum():
        return False
    return not (after and after in ".^_" and text[last + 2 : last + 3].isalnum())
