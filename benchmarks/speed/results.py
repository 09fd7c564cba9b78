"""What a benchmark found: ours beside the plain algorithm, and beside the best there could be."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Pair = tuple[float, float | None]  # ours, theirs


class Skipped(RuntimeError):
    """What the benchmark needs is not there; says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`ours` and `theirs` are medians in `unit`; all units are costs, unless `more_is_better`.

    ratio: how many times better ours is, the median over repeats of runs side by side.
    limit: what no algorithm can beat, in `unit`; of_limit: the share of it that ours reaches.
    spread: (largest - smallest) / median, of the ratio, or of ours where there are no theirs.
    commit: of the code that was measured.
    """

    name: str
    unit: str
    ours: float
    theirs: float | None
    ratio: float | None
    limit: float | None
    of_limit: float | None
    repeats: int
    spread: float
    commit: str | None = None


def compare(
    name: str,
    unit: str,
    pairs: Sequence[Pair],
    *,
    limit: float | None = None,
    more_is_better: bool = False,
) -> Result:
    """The result of repeats, each (ours, theirs)."""
    ours = [one for one, _ in pairs]
    theirs = [other for _, other in pairs if other is not None]

    def better(this: float, than: float) -> float:
        return this / than if more_is_better else than / this

    ratios = [better(one, other) for one, other in pairs if one and other]
    spread_of = ratios or ours
    middle, scale = statistics.median(ours), statistics.median(spread_of)
    return Result(
        name=name,
        unit=unit,
        ours=middle,
        theirs=statistics.median(theirs) if theirs else None,
        ratio=statistics.median(ratios) if ratios else None,
        limit=limit,
        of_limit=better(middle, limit) if limit and middle else None,
        repeats=len(pairs),
        spread=(max(spread_of) - min(spread_of)) / scale if scale else 0.0,
    )


def repeated(repeats: int, pair: Callable[[int], Pair]) -> list[Pair]:
    """`pair(repeat)` for each repeat."""
    return [pair(number) for number in range(repeats)]


class Book:
    """Seconds inside named methods, without those of others inside them."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()  # of floats, which most_common sorts as well
        self._inside = [0.0]

    def watch(self, owner: Any, method: str, name: str) -> None:
        whole = getattr(owner, method)

        def watched(*arguments: Any, **more: Any) -> Any:
            began = time.perf_counter()
            self._inside.append(0.0)
            try:
                return whole(*arguments, **more)
            finally:
                spent = time.perf_counter() - began
                self.seconds[name] += spent - self._inside.pop()  # type: ignore[assignment]
                self._inside[-1] += spent

        setattr(owner, method, watched)
