"""How near the bound an order of requests could come, without overhead: `makespan_*` simulated.

    python -m benchmarks.speed.schedules

The same classroom and traces as `benchmarks.speed.makespan`, on a clock that jumps from one answer
to the next. `clairvoyant` knows how many seconds each conversation and each answer will take and
serves who has the longest way to go; nobody who serves a language model knows that.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from benchmarks.speed.makespan import (
    Trace,
    TracedEngine,
    afterwards,
    classroom,
    lower_bound,
    problems,
)

SLOTS, SEEDS = (128, 80, 32, 16), (1, 2, 3, 4, 5)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Where nobody is ready to run, it is already the time for which the next one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class FirstCome(TracedEngine):
    def rank(self, number: int, index: int, priority: int) -> float:
        return 0.0


class DeepestFirst(TracedEngine):
    """As ours; among turns, those of the conversation that has gone on for longest."""

    def rank(self, number: int, index: int, priority: int) -> float:
        return 100.0 * priority - (index if priority == 0 else 0)


class KnownLengths(TracedEngine):
    """As ours; among turns, those of the conversation that will still go on for longest."""

    def rank(self, number: int, index: int, priority: int) -> float:
        left = self.trace.tutor_turns(number) - index
        return 100.0 * priority - (left if priority == 0 else 0)


class Clairvoyant(TracedEngine):
    def rank(self, number: int, index: int, priority: int) -> float:
        seconds, last = self.trace.seconds, self.trace.tutor_turns(number)
        verdicts, solutions = afterwards(number, self.trace)
        own = seconds(self.role, number, index)
        if priority == 2:
            return -own
        if priority == 1:
            return -own - max(solutions)
        after = index if self.role == "teacher" else index + 1
        left = [seconds("teacher", number, i) for i in range(after, last)]
        left += [seconds("student", number, i) for i in range(index, last - 1)]
        return -sum(left) - max(verdicts) - max(solutions)


ORDERS = {
    "first come": FirstCome,
    "turns, verdicts, solutions (ours)": TracedEngine,
    "ours, deepest first": DeepestFirst,
    "ours, numbers of turns known": KnownLengths,
    "clairvoyant": Clairvoyant,
}


async def here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def share_of_bound(slots: int, trace: Trace, order: type[TracedEngine]) -> float:
    """M* over the makespan: 1 is the best there could be."""
    with (
        patch.object(asyncio, "to_thread", here),
        asyncio.Runner(loop_factory=JumpingLoop) as runner,
    ):
        began = runner.get_loop().time()
        runner.run(classroom(slots, trace, order).run(problems(), samples=1))
        return lower_bound(slots, trace) / (runner.get_loop().time() - began)


def main() -> None:
    found = Table(title=f"share of the lower bound, mean (worst) of {len(SEEDS)} traces")
    found.add_column("order")
    for slots in SLOTS:
        found.add_column(f"{slots} slots", justify="right")
    for name, order in ORDERS.items():
        cells = []
        for slots in SLOTS:
            shares = [share_of_bound(slots, Trace(seed), order) for seed in SEEDS]
            cells.append(f"{statistics.mean(shares):.1%} ({min(shares):.1%})")
        found.add_row(name, *cells)
    Console().print(found)


if __name__ == "__main__":
    main()
