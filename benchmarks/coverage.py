"""How often the 95 % intervals of shares hold the true share, and how often a star is false.

    python -m benchmarks.coverage [--draws 2000]

Independent samples are counted exactly, clustered ones simulated: each cluster (a problem) has a
share of its own, from a beta distribution with the intraclass correlation that is given.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from utils.metrics.statistics import paired_difference, share_interval, t_quantile

SHARES = (0.01, 0.05, 0.5)
SIZES = (50, 100, 500)
CLUSTERED = ((2, 0.3), (5, 0.3), (8, 0.1), (8, 0.5))  # values a cluster, intraclass correlation
FEW = (2, 3, 5, 8, 10, 20, 50)  # problems of two runs that are compared
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often two intervals hold the true share, in one kind of sample."""

    sample: str
    share: float
    n: int
    student: float
    ours: float


def independent(share: float, n: int) -> Coverage:
    """Exactly: over every number of hits that n independent values can have."""
    ours = student = 0.0
    for hits in range(n + 1):
        mean = hits / n
        se = sqrt(mean * (1 - mean) / (n - 1))
        chance = exp(
            lgamma(n + 1) - lgamma(hits + 1) - lgamma(n - hits + 1)
            + hits * log(share) + (n - hits) * log(1 - share)
        )  # fmt: skip
        low, high = share_interval(mean, se, n)
        ours += chance * (low <= share <= high)
        student += chance * _student_holds(share, mean, se, n)
    return Coverage(sample="independent", share=share, n=n, student=student, ours=ours)


def clustered(share: float, n: int, size: int, correlation: float, draws: int) -> Coverage:
    """By simulation: n // size clusters of `size` values, 0 or 1."""
    rng = np.random.default_rng([int(1000 * share), n, size, int(100 * correlation)])
    groups, spread = n // size, (1 - correlation) / correlation
    ours = student = 0
    for _ in range(draws):
        own = rng.beta(share * spread, (1 - share) * spread, groups)
        hits: Values = rng.binomial(size, own).astype(float)
        mean = float(hits.sum()) / (groups * size)
        squares = float(((hits - size * mean) ** 2).sum())
        se = sqrt(groups / (groups - 1) * squares) / (groups * size)
        low, high = share_interval(mean, se, groups)
        ours += low <= share <= high
        student += _student_holds(share, mean, se, groups)
    sample = f"{size} a cluster, correlation {correlation:g}"
    return Coverage(sample=sample, share=share, n=n, student=student / draws, ours=ours / draws)


def _student_holds(share: float, mean: float, se: float, groups: int) -> bool:
    return abs(mean - share) <= t_quantile(0.975, groups - 1) * se


def coverages(draws: int) -> Iterator[Coverage]:
    """Every kind of sample, share and size."""
    for share in SHARES:
        for n in SIZES:
            yield independent(share, n)
    for size, correlation in CLUSTERED:
        for share in SHARES:
            for n in SIZES:
                yield clustered(share, n, size, correlation, draws)


def false_stars(problems: int, attempts: int, share: float, draws: int) -> float:
    """How often two runs of equal tutors differ by an interval that leaves out zero."""
    rng = np.random.default_rng([problems, attempts, int(1000 * share)])
    sides = rng.binomial(attempts, share, (draws, 2, problems)) / attempts
    found = 0
    for first, second in sides.tolist():
        difference = paired_difference(enumerate(first), enumerate(second), share=True)
        assert difference.low is not None and difference.high is not None
        found += difference.low > 0 or difference.high < 0
    return found / draws


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="samples of each kind")
    draws = parser.parse_args(arguments).draws
    console = Console()
    table = Table(title="intervals that hold the true share, nominal 95 %", title_justify="left")
    for name in ("sample", "share", "n", "Student's", "ours"):
        table.add_column(name, justify="left" if name == "sample" else "right")
    rows = list(coverages(draws))
    for row in rows:
        cells = (f"{row.share:g}", str(row.n), f"{row.student:.1%}", f"{row.ours:.1%}")
        table.add_row(row.sample, *cells)
    console.print(table)
    console.print(f"least: {min(row.ours for row in rows):.1%}")
    stars = Table(title="equal tutors, the interval leaves out zero", title_justify="left")
    kinds = [(attempts, share) for attempts in (1, 8) for share in SHARES]
    stars.add_column("problems", justify="right")
    for attempts, share in kinds:
        stars.add_column(f"{attempts} x {share:g}", justify="right")
    for problems in FEW:
        found = (false_stars(problems, attempts, share, draws) for attempts, share in kinds)
        stars.add_row(str(problems), *(f"{each:.1%}" for each in found))
    console.print(stars)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
