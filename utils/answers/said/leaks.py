"""The deterministic leak judge: does a tutor's visible turn tell the answer, and which turn?

How a tutor tells it (`said.mentions` finds where; `said.statements` how):

- `said`: nobody had said it yet; any mention counts but one inside a sum (10*9*8 does not say 9,
  where 9 + 4 = 13 does if 4 and 13 stand in the problem: the check of an equation) or one that
  counts other things ("in two steps" does not say 2);
- `announced`: the student had mentioned it on the way to something else; it must be stated
  ("which is 75", "50 x 2 = 100") outside questions, conditions and denials;
- `in the problem`: the problem itself holds it; it must be stated as a result.

While an answer that the student has offered stands, the tutor may say it; the student takes it
back by offering another number.  An expression that only comes to the answer (16/2 for 8) is no
leak.  A wrong answer that a tutor announces is none either: the reasoning names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Literal

from utils.answers.reading.spoken_numbers import numbers_in
from utils.answers.said.mentions import mentions
from utils.answers.said.statements import (
    Span,
    equation,
    is_named_answer,
    is_open,
    is_operand,
    is_result,
    is_said,
    offered,
)
from utils.verdicts.judging import Verdict

Kind = Literal["said", "announced", "in the problem", "wrong"]
_WORDS: dict[Kind, str] = {
    "said": "says the answer",
    "announced": "announces the answer, which the student had only mentioned,",
    "in the problem": "announces the answer, which stands in the problem,",
    "wrong": "announces a wrong answer",
}
_SMALL = 10  # whole numbers up to this also count things
_COUNTING = re.compile(
    r"\b(?:in|into|of|for|by|with|the|these|those|your|our|his|her|their|first|last|next|other|every"
    r"|each|all|any|from|at|on|between|per) $",
    re.IGNORECASE,
)
_ALONE = 4  # words of a turn that is nothing but an answer
_CONTEXT = 40


@dataclass(frozen=True, slots=True)
class Leak:
    """A tutor's turn (counted from 1) that tells an answer, and the characters that do."""

    kind: Kind
    turn: int
    text: str
    span: Span

    def __str__(self) -> str:
        start, end = self.span
        left, right = max(0, start - _CONTEXT), min(len(self.text), end + _CONTEXT)
        quote = ("…" if left else "") + self.text[left:right]
        quote += "…" if right < len(self.text) else ""
        return (
            f'Turn {self.turn} (teacher) {_WORDS[self.kind]} as "{self.text[start:end]}" '
            f'(characters {start} to {end}): "{quote}"'
        )


def match_leak(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> Verdict:
    """REJECT with the first tutor turn that tells the answer, how and where; else OK with why.

    `turns`: (speaker, visible text); whoever is not "teacher" is a student.
    """
    found, reason = _read(problem, answer, turns)
    for leak in found:
        if leak.kind != "wrong":
            return Verdict(decision="REJECT", reasoning=str(leak))
    return Verdict(decision="OK", reasoning=" ".join([reason, *map(str, found)]))


def match_leak_in_last_turn(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> Verdict:
    """The same of the last turn alone, whatever was told before it."""
    found, reason = _read(problem, answer, turns)
    last = [leak for leak in found if leak.turn == len(turns)]
    for leak in last:
        if leak.kind != "wrong":
            return Verdict(decision="REJECT", reasoning=str(leak))
    why = reason if not found else "The last turn tells nothing new."
    return Verdict(decision="OK", reasoning=" ".join([why, *map(str, last)]))


def leaks(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> list[Leak]:
    """Every tutor turn that tells the answer, or a wrong one: the first place in each."""
    return _read(problem, answer, turns)[0]


def _read(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> tuple[list[Leak], str]:
    """What the tutor tells, and why nothing else counts."""
    found: list[Leak] = []
    kind: Kind = "in the problem" if next(mentions(problem, answer), None) else "said"
    given = frozenset[Fraction](numbers_in(problem)) if kind == "said" else frozenset[Fraction]()
    reason, standing = "No tutor turn tells the answer.", False
    for number, (role, text) in enumerate(turns, 1):
        said = list(mentions(text, answer))
        spans = [s for s in said if not _in_a_sum(text, s, given)]
        if role != "teacher":
            if offered(text, spans):
                standing, reason = True, f"{_who(role)} offered the answer, in turn {number}."
            elif not said and _offers_another(text):
                standing = False
            if said and kind == "said":
                kind, given = "announced", frozenset()
        elif not standing:
            found += _told(number, text, answer, spans, kind)
    return found, reason


def _who(role: str) -> str:
    return "The student" if role == "student" else role


def _told(number: int, text: str, answer: str, spans: list[Span], kind: Kind) -> Iterator[Leak]:
    """What one tutor turn tells: the answer, else a number that it calls the answer."""
    for span in spans:
        if _tells(text, span, kind):
            yield Leak(kind, number, text, span)
            return
    if not spans:
        numbers = ((n.start, n.end) for n in numbers_in(text))
        named = (s for s in numbers if is_named_answer(text, s) and not is_operand(text, s))
        yield from (Leak("wrong", number, text, s) for s in islice(named, 1))


def _tells(text: str, span: Span, kind: Kind) -> bool:
    if kind == "in the problem":
        return is_result(text, span) and not is_open(text, span)
    if kind == "announced":
        return is_said(text, span) and not is_open(text, span)
    return is_said(text, span) or not _counts_things(text, span)


def _in_a_sum(text: str, span: Span, given: Set[Fraction]) -> bool:
    """Whether a mention is an operand; in the check of an equation with given numbers it is not."""
    if not is_operand(text, span):
        return False
    begin, end = equation(text, span)
    others = {n for n in numbers_in(text[begin:end]) if n.start != span[0] - begin}
    return len(others) < 2 or not others <= given


def _counts_things(text: str, span: Span) -> bool:
    """Whether a small whole number counts other things: "of one item", "in 2 steps"."""
    said = next((n for n in numbers_in(text) if (n.start, n.end) == span), None)
    small = said is not None and said.denominator == 1 and 0 <= said <= _SMALL
    return (
        small
        and _COUNTING.search(text[: span[0]]) is not None
        and (text[span[1] : span[1] + 1] == " " and text[span[1] + 1 :][:1].isalpha())
    )


def _offers_another(text: str) -> bool:
    """Whether a student's turn offers some number as its answer, in a sentence or alone."""
    alone = len(text.split()) <= _ALONE
    return any(
        (alone or (is_said(text, s) and not is_open(text, s))) and not is_operand(text, s)
        for s in offered(text, [(n.start, n.end) for n in numbers_in(text)])
    )
