"""Problems of the toy classroom: two-digit sums with a carry, 3,645 of them, 400 held out.

Named in a config as `toy.problems:load`.  Which problems are held out never changes; the seed
decides on their order only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from toy.world import Sum
from utils.seeding import keyed_rng

HELD_OUT = 400
SPLITS = ("train", "test")


def all_sums() -> list[Sum]:
    """Every `ab+cd` with a, c >= 1 and b + d >= 10, in order."""
    return [
        Sum(a, b, c, d)
        for a in range(1, 10)
        for b in range(10)
        for c in range(1, 10)
        for d in range(10 - b, 10)
    ]


def sums(split: str, seed: int) -> list[Sum]:
    """The sums of one split (`train` or `test`), in the order of the seed."""
    if split not in SPLITS:
        raise ValueError(f"the toy problems have the splits {', '.join(SPLITS)}; not {split!r}")
    found = all_sums()
    keyed_rng("toy", "held out").shuffle(found)
    chosen = found[:HELD_OUT] if split == "test" else found[HELD_OUT:]
    keyed_rng("toy", "order", split, seed).shuffle(chosen)
    return chosen


@cache
def _alike(split: str) -> dict[bool, list[Sum]]:
    """The sums of a split by their carries: the ones always carry, the tens in some."""
    found: dict[bool, list[Sum]] = {False: [], True: []}
    for problem in sums(split, 0):
        found[problem.answer >= 100].append(problem)
    return found


def transfer(problem: Sum, split: str) -> Sum:
    """Another sum of the split with the same carries and another answer, whatever the seed."""
    kind, rng = _alike(split)[problem.answer >= 100], keyed_rng("toy", "transfer", problem.text)
    while (other := rng.choice(kind)).answer == problem.answer:
        continue
    return other


def load(split: str, seed: int, count: int | None = None) -> Iterator[dict[str, str]]:
    """Rows with id, problem, answer, those of the transfer test, source; `count`, or all (None)."""
    for problem in sums(split, seed)[:count]:
        other = transfer(problem, split)
        yield {
            "transfer_problem": other.text,
            "transfer_answer": str(other.answer),
            "id": f"toy-{problem.a}{problem.b}+{problem.c}{problem.d}",
            "problem": problem.text,
            "answer": str(problem.answer),
            "source": "toy",
        }
