"""The share of right solutions, which every metric of learning is made of."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from utils.records import Solution


def solve_rate(solutions: Sequence[Solution]) -> float | None:
    """Share of right solutions; None without any."""
    return fmean(float(s.correct) for s in solutions) if solutions else None
