"""Results beside those of an earlier commit: what became slower beyond the spread.

Seconds of two days differ with the machine.  So what is compared was measured side by side: how
many times better ours is than the plain way, and which share of the limit it reaches; and counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.speed.results import Result

COUNTS = ("requests", "tokens", "passes", "steps")  # units that no machine changes
LEAST = 0.02  # a change of less is none, whatever the spread of a few repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`change`: by which share it is better (above 0) or worse; `noise`: what spread explains."""

    name: str
    what: str  # ratio, share of the limit, or a unit
    before: float
    now: float
    change: float
    noise: float

    @property
    def slower(self) -> bool:
        return self.change < -self.noise

    def __str__(self) -> str:
        said = "slower" if self.slower else "faster" if self.change > self.noise else "as before"
        return (
            f"{self.name}: {self.what} {self.before:.3g} -> {self.now:.3g} "
            f"({self.change:+.1%}, spread {self.noise:.1%}): {said}"
        )


def read_results(path: Path) -> list[Result]:
    """A file that `python -m benchmarks --json` wrote.  ValueError in one line where it is none."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Result)}
        return [Result(**{k: v for k, v in row.items() if k in known}) for row in rows]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not a file of python -m benchmarks --json: {reason}") from error


def changes(now: Sequence[Result], before: Sequence[Result]) -> list[Change]:
    """One for each thing that both have measured and that can be compared."""
    earlier = {result.name: result for result in before}
    return [
        change
        for result in now
        if result.name in earlier
        for change in _of(result, earlier[result.name])
    ]


def not_compared(now: Sequence[Result], before: Sequence[Result]) -> list[str]:
    """Names that have no earlier value, or only seconds."""
    compared = {change.name for change in changes(now, before)}
    return [result.name for result in now if result.name not in compared]


def _of(now: Result, before: Result) -> Iterator[Change]:
    noise = max(now.spread, before.spread, LEAST)

    def change(what: str, old: float, new: float, share: float) -> Change:
        return Change(name=now.name, what=what, before=old, now=new, change=share, noise=noise)

    if now.ratio and before.ratio:
        yield change("ratio", before.ratio, now.ratio, now.ratio / before.ratio - 1)
    if now.of_limit and before.of_limit:
        share = now.of_limit / before.of_limit - 1
        yield change("share of the limit", before.of_limit, now.of_limit, share)
    if now.unit == before.unit and now.unit in COUNTS and now.ours and before.ours:
        yield change(now.unit, before.ours, now.ours, before.ours / now.ours - 1)
