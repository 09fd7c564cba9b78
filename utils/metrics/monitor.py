"""One monitor: a number to watch over a run's conversations, and when it rings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from utils.metrics.statistics import Estimate
from utils.records import ConversationRecord

Records = Sequence[ConversationRecord]
LITTLE = 0.05  # what began below it cannot collapse


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A number to watch, and when it rings.

    `low`/`high`: absolute bounds; where training began beyond one already, it does not ring.
    `shrinks`/`grows`: factors against the start of training.
    """

    name: str
    means: str
    value: Callable[[Records], Estimate]
    low: float | None = None
    high: float | None = None
    shrinks: float | None = None
    grows: float | None = None
    at_least: int = 8  # values below which nothing rings

    @property
    def bounds(self) -> str:
        """When it rings, in words; empty where it never does."""
        parts = [
            *([f"at {self.low:g} or less"] if self.low is not None else []),
            *([f"at {self.high:g} or more"] if self.high is not None else []),
            *([f"below {self.shrinks:g} of its start"] if self.shrinks is not None else []),
            *([f"above {self.grows:g} times its start"] if self.grows is not None else []),
        ]
        return f"Rings {', or '.join(parts)}." if parts else ""

    def state(self, now: Estimate, start: Estimate | None = None) -> str:
        """Where it stands: alarm, quiet, too few values, or no start to compare with."""
        if self.alarm(now, start) is not None:
            return "alarm"
        if now.mean is None or now.n < self.at_least:
            return "too few values"
        absolute = self.low is not None or self.high is not None
        began = start is not None and start.mean is not None
        return "quiet" if absolute or began else "no start to compare with"

    def alarm(self, now: Estimate, start: Estimate | None = None) -> str | None:
        """Why this monitor rings, or None."""
        if now.mean is None or now.n < self.at_least:
            return None
        began = start.mean if start is not None else None
        if self.low is not None and now.mean <= self.low and (began is None or began > self.low):
            return f"{now.mean:.3g} is not above {self.low:g}: {self.means}"
        if self.high is not None and now.mean >= self.high and (began is None or began < self.high):
            return f"{now.mean:.3g} is not below {self.high:g}: {self.means}"
        if not began:
            return None
        if self.shrinks is not None and began > LITTLE and now.mean < self.shrinks * began:
            return f"fell from {began:.3g} to {now.mean:.3g}: {self.means}"
        if self.grows is not None and now.mean > self.grows * began:
            return f"grew from {began:.3g} to {now.mean:.3g}: {self.means}"
        return None
