"""Measures the toy's many students: what each solves, after which kind of conversation.

    python -m toy.measure_students --students FOLDER [--samples 512] [--json FILE]

Sampled at temperature 1 on held-out problems; the students' replies are their own.  Beside each
rate stands the one that the student is made for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Protocol

from rich.console import Console
from rich.table import Table

from toy.measure import Chat, Sampler, is_right
from toy.problems import sums
from toy.student_conversations import HIDDEN, talk
from toy.students import MANNERS, Manner
from toy.world import RATES, Sum, prompt
from utils.seeding import keyed_rng

#: What a tutor says, turn by turn: kinds of `toy.world.PHRASES`; "other:" is of another sum.
CASES: dict[str, tuple[str, ...]] = {
    "cheered": ("cheer", "close"),
    "ones, tens": ("ones", "tens"),
    "tens, ones": ("tens", "ones"),
    "both at once": ("cheer", "both"),
    "tens twice": ("tens", "tens"),
    "another sum's": ("other:ones", "other:tens"),
    "told": ("cheer", "tell"),
}
#: The learner's transfer test: the same, and then another sum, with the tutor hidden.
TRANSFER: dict[str, tuple[str, ...]] = {
    "cheered, then another sum": ("cheer", "cheer", "close"),
    "led, then another sum": ("ones", "tens", "close"),
    "told, then another sum": ("cheer", "tell", "close"),
}
Rates = dict[str, dict[str, dict[str, float]]]  # student -> case -> made for, measured


class Answers(Protocol):
    """Who speaks for the students: one sampled answer to each chat."""

    def answer(self, chats: list[Chat], max_tokens: int) -> list[str]: ...


def said(problem: Sum, other: Sum, kinds: Sequence[str], rng: Random) -> list[str]:
    """The tutor's turns of a case."""
    found = []
    for kind in kinds:
        about = other if kind.startswith("other:") else problem
        found.append(about.hint(kind.removeprefix("other:"), rng))
    return found


def made_for(manner: Manner, kinds: Sequence[str], *, transfer: bool, draws: int = 200) -> float:
    """The rate that the data has, over problems that are drawn."""
    rng = keyed_rng("toy", "made for", *kinds)
    problems, found = sums("test", 0), []
    for _ in range(draws):
        problem, other = rng.sample(problems, 2)
        turns = said(problem, other, kinds, rng)
        for checking, share in ((True, manner.checks), (False, 1 - manner.checks)):
            taken = manner.taken(problem, turns, checking=checking)
            state = manner.learnt(taken[:-1]) if transfer else manner.state(taken)
            found.append(share * RATES[state])
    return sum(found) / draws


def measured(
    sampler: Answers, manner: Manner, kinds: Sequence[str], samples: int, *, transfer: bool
) -> float:
    """Share of right solutions; in the transfer test, of another sum."""
    rng = keyed_rng("toy", "measure students", *kinds)
    pairs = [rng.sample(sums("test", 0), 2) for _ in range(samples)]
    turns = [said(problem, other, kinds, rng) for problem, other in pairs]
    systems = [prompt(manner.persona, problem=problem.text) for problem, _ in pairs]
    replies: list[list[str]] = [[] for _ in pairs]
    for number in range(len(kinds) - 1):
        views = zip(systems, turns, replies, strict=True)
        heard = [talk(system, spoken[: number + 1], mine) for system, spoken, mine in views]
        for mine, answer in zip(replies, sampler.answer(heard, 24), strict=True):
            mine.append(answer)
    chats, right = [], []
    for system, (problem, other), spoken, mine in zip(systems, pairs, turns, replies, strict=True):
        if transfer:
            asked = prompt("student_transfer", problem=other.text)
            chats.append(talk(system, [HIDDEN] * len(kinds), mine, asked))
        else:
            chats.append(talk(system, spoken, mine, prompt("student_final")))
        right.append(other if transfer else problem)
    solutions = sampler.answer(chats, 40)
    return fmean(float(is_right(p, s)) for p, s in zip(right, solutions, strict=True))


def student_rates(sampler: Answers, samples: int, names: Sequence[str] = ()) -> Rates:
    """Every case of each student, the transfer test of the learner."""
    found: Rates = {}
    for name in names or MANNERS:
        manner = MANNERS[name]
        cases = CASES | TRANSFER if manner.learns else CASES
        found[name] = {
            case: {
                "made_for": round(made_for(manner, kinds, transfer=case in TRANSFER), 3),
                "measured": round(
                    measured(sampler, manner, kinds, samples, transfer=case in TRANSFER), 3
                ),
            }
            for case, kinds in cases.items()
        }
    return found


def table(rates: Rates) -> Table:
    """A line for each student; made for / measured."""
    found = Table(title="share of right solutions: made for / measured")
    cases = list(dict.fromkeys(case for row in rates.values() for case in row))
    for name in ("student", *cases):
        found.add_column(name)
    for name, row in rates.items():
        both = (row.get(case) for case in cases)
        found.add_row(
            name, *(f"{b['made_for']:.2f} / {b['measured']:.2f}" if b else "" for b in both)
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Rates of the toy's many students.")
    parser.add_argument("--students", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=list(MANNERS), choices=list(MANNERS))
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sampler = Sampler(options.students, options.seed)
    rates = student_rates(sampler, options.samples, options.names)
    Console().print(table(rates))
    if options.json:
        options.json.write_text(json.dumps(rates, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
