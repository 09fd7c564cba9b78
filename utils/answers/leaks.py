"""The deterministic leak judge: does a tutor's visible turn say the answer?

A number is said in any spelling (digits, words, LaTeX; 0.5 for 1/2; see
`utils.answers.spoken_numbers`), a list of numbers in its order, another
expression by its normalised text, a word as a whole word.

What is never a leak, by design:
- an answer that stands in the problem itself: nobody can tell it from the problem's own number;
- an answer that the student said in an earlier turn;
- an expression that only comes to the answer (16/2 or 4 x 2 for 8);
- a single letter, or a word such as "yes", unless an "answer is" stands before it.
"""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from utils.answers.leaf import read
from utils.answers.spoken_numbers import NumberInText, numbers_in
from utils.answers.text import clean, join_thousands
from utils.verdicts.judging import Verdict

__all__ = ["match_leak", "numbers_in", "said_in"]

_COMMON = frozenset({"yes", "no", "true", "false", "none"})
_ANNOUNCED = (
    r"(?:answer|option|choice|result|solution)(?:\s+(?:is|was|should\s+be|would\s+be))?\s*[:=]?"
    r"\s*[\"'(*$]*"
)
_BETWEEN = re.compile(r"[\s,;()\[\]$&]*+(?:and|or)?[\s,;()\[\]$&]*+", re.IGNORECASE)
_SPELLINGS = (
    (re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (
        re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])|\\[,;:! ]|\\[()\[\]]|[\s${}*⟨⟩⦃⦄]"),
        "",
    ),
    (re.compile(r"\\sqrt|√|sqrt"), "√"),
    (re.compile(r"\\pi|π"), "π"),
    (re.compile(r"\\(?:cdot|times)|[·×]"), ""),
    (re.compile(r"√\(([^()]*)\)"), r"√\1"),
    (re.compile(r"[−–]"), "-"),
)
_CONTEXT = 40


@dataclass(frozen=True, slots=True)
class _Answer:
    """What to look for: a number, numbers in order, or a normalised expression."""

    number: Fraction | None = None
    percent: bool = False
    numbers: tuple[Fraction, ...] = ()
    words: re.Pattern[str] | None = None
    expression: str = ""


def match_leak(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> Verdict:
    """REJECT with the first tutor turn that says the answer and where, else OK with the reason.

    `turns`: (role, visible text), role "teacher" or "student".  Raises ValueError for another.
    """
    if said_in(problem, answer) is not None:
        return Verdict(decision="OK", reasoning="The answer stands in the problem itself.")
    for number, (role, text) in enumerate(turns, 1):
        if role not in ("teacher", "student"):
            raise ValueError(f"leak matcher: role of turn {number} is {role!r}")
        span = said_in(text, answer)
        if span is None:
            continue
        if role == "student":
            return Verdict(
                decision="OK", reasoning=f"The student said the answer first, in turn {number}."
            )
        return Verdict(decision="REJECT", reasoning=_evidence(number, text, *span))
    return Verdict(decision="OK", reasoning="No tutor turn says the answer.")


def said_in(text: str, answer: str) -> tuple[int, int] | None:
    """The span of `text` that says the answer first, or None."""
    wanted = _answer(answer)
    if wanted.number is not None:
        return next(((n.start, n.end) for n in numbers_in(text) if _says(n, wanted)), None)
    if wanted.numbers:
        return _sequence(text, wanted.numbers)
    if wanted.words is not None:
        match = wanted.words.search(text)
        return match.span("answer") if match else None
    return _expression(text, wanted.expression) if wanted.expression else None


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
    if isinstance(one.value, Fraction):
        return _Answer(number=one.value, percent=one.percent)
    numbers = tuple(Fraction(n) for n in numbers_in(answer))
    if len(numbers) > 1 and _sequence(answer, numbers) == (0, len(answer)):
        return _Answer(numbers=numbers)
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


def _sequence(text: str, wanted: Sequence[Fraction]) -> tuple[int, int] | None:
    """Where the wanted numbers stand one after the other, with only commas and brackets between."""
    said = numbers_in(text)
    for first in range(len(said) - len(wanted) + 1):
        run = said[first : first + len(wanted)]
        if all(s == w for s, w in zip(run, wanted, strict=True)) and all(
            _BETWEEN.fullmatch(text, a.end, b.start) for a, b in pairwise(run)
        ):
            start, end = run[0].start, run[-1].end
            whole = not text[:start].strip(" ([{\\$") and not text[end:].strip(" )]}\\$")
            return (0, len(text)) if whole else (start, end)
    return None


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


def _expression(text: str, wanted: str) -> tuple[int, int] | None:
    """The span of a normalised expression that is not a part of a longer one."""
    normal, places = _normal(text)
    start = normal.find(wanted)
    while start != -1:
        end = start + len(wanted)
        if _ends_there(text, wanted, places[start], places[end - 1]):
            return places[start], places[end - 1] + 1
        start = normal.find(wanted, start + 1)
    return None


def _ends_there(text: str, wanted: str, first: int, last: int) -> bool:
    """Whether neither end runs on: no letter, digit or operator glued to it in the text."""
    before, after = text[:first][-1:], text[last + 1 :][:1]
    if wanted[0] not in "([-+" and before and (before.isalnum() or before in "\\^_.)}"):
        return False
    if wanted[-1] not in ")]" and after.isalnum():
        return False
    return not (after and after in ".^_" and text[last + 2 : last + 3].isalnum())


def _evidence(number: int, text: str, start: int, end: int) -> str:
    left, right = max(0, start - _CONTEXT), min(len(text), end + _CONTEXT)
    quote = ("…" if left else "") + text[left:right] + ("…" if right < len(text) else "")
    return (
        f'Turn {number} (teacher) says the answer as "{text[start:end]}" '
        f'(characters {start} to {end}): "{quote}"'
    )
