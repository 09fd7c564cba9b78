"""Means whose standard errors know that conversations about one problem are not independent.

Every estimate here is clustered: values are grouped (by problem), and the spread between groups is
what counts.  With few groups a normal quantile promises too much, so intervals use Student's t
with (groups - 1) degrees of freedom; where a statistic is no mean, groups are resampled.  Intervals
of shares are Wilson's, which stay between 0 and 1 (`python -m benchmarks.coverage`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isclose, sqrt
from statistics import NormalDist, fmean

from utils.seeding import keyed_seed

CONFIDENCE = 0.95
MIN_CLUSTERS = 10  # with fewer no difference is called clear, and kappa has no interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean of `n` values in `clusters` groups.

    `mean` is None without values; `se`, `low` and `high` are None where fewer than two groups
    leave nothing to estimate a spread from.
    """

    mean: float | None
    se: float | None
    n: int
    clusters: int = 0
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | int | None]:
        """The entry of metrics.json: mean, se and n first, then the interval."""
        return {
            "mean": self.mean,
            "se": self.se,
            "n": self.n,
            "clusters": self.clusters,
            "low": self.low,
            "high": self.high,
        }


NOTHING = Estimate(mean=None, se=None, n=0)


@lru_cache(maxsize=512)
def t_quantile(probability: float, degrees: int) -> float:
    """Student's t quantile for `probability` in (0.5, 1) by bisection on its exact distribution."""
    if degrees < 1:
        raise ValueError(f"degrees of freedom must be at least 1, not {degrees}")
    if degrees > 2000:  # differs from the normal quantile by less than 1e-3
        return NormalDist().inv_cdf(probability)
    from mpmath import betainc  # slow to import, and seldom needed

    tail = 2 * (1 - probability)
    low, high = 0.0, 1e3 if degrees > 1 else 1e5
    while high - low > 1e-9 * max(1.0, low):
        middle = (low + high) / 2
        beyond = betainc(degrees / 2, 0.5, 0, degrees / (degrees + middle**2), regularized=True)
        low, high = (middle, high) if float(beyond) > tail else (low, middle)
    return (low + high) / 2


def clustered_mean(
    pairs: Iterable[tuple[Hashable, float]], *, share: bool = False, signed: bool = False
) -> Estimate:
    """Mean of the values of (cluster, value) pairs, with its cluster-robust standard error.

    se^2 = G/(G-1) * sum over clusters of (sum of residuals in it)^2 / n^2, with G clusters; for
    clusters of one value each this is the usual standard error of a mean.  Values of a `share` lie
    in [0, 1], those of a `signed` one, a difference of shares, in [-1, 1]; so does the interval.
    """
    sums: dict[Hashable, float] = defaultdict(float)
    sizes: dict[Hashable, int] = defaultdict(int)
    for cluster, value in pairs:
        sums[cluster] += value
        sizes[cluster] += 1
    n, groups = sum(sizes.values()), len(sums)
    if n == 0:
        return NOTHING
    mean = sum(sums.values()) / n
    if groups < 2:
        return Estimate(mean=mean, se=None, n=n, clusters=groups)
    squares = sum((sums[key] - sizes[key] * mean) ** 2 for key in sums)
    se = sqrt(groups / (groups - 1) * squares) / n
    low, high = _interval(mean, se, groups, share=share, signed=signed)
    return Estimate(mean=mean, se=se, n=n, clusters=groups, low=low, high=high)


def _interval(
    mean: float, se: float, groups: int, *, share: bool, signed: bool
) -> tuple[float, float]:
    if signed:
        low, high = share_interval((mean + 1) / 2, se / 2, groups)
        return 2 * low - 1, 2 * high - 1
    if share:
        return share_interval(mean, se, groups)
    width = t_quantile((1 + CONFIDENCE) / 2, groups - 1) * se
    return mean - width, mean + width


def share_interval(share: float, se: float, groups: int) -> tuple[float, float]:
    """Wilson's interval with continuity correction, for a share with a clustered standard error.

    The sample counts as m = share (1 - share) / se^2 independent ones (Kish's effective size), with
    Student's t for the normal quantile.  Where all values are 0 (or all 1) the spread says 0, which
    no finite sample can know: the other end is then the exact binomial one for `groups` trials.
    """
    if se < 1e-12:
        slack = 1 - ((1 - CONFIDENCE) / 2) ** (1 / groups)
        return {0.0: (0.0, slack), 1.0: (1 - slack, 1.0)}.get(round(share, 12), (share, share))
    t, m = t_quantile((1 + CONFIDENCE) / 2, groups - 1), share * (1 - share) / se**2

    def low(p: float) -> float:  # Newcombe (1998), method 4
        root = sqrt(max(0.0, t * t - 2 - 1 / m + 4 * p * (m * (1 - p) + 1)))
        return max(0.0, (2 * m * p + t * t - 1 - t * root) / (2 * (m + t * t)))

    return min(low(share), share), max(1 - low(1 - share), share)


def mean_over_seeds(
    values: Sequence[float], *, share: bool = False, signed: bool = False
) -> Estimate:
    """Mean and interval of one number per independent run."""
    return clustered_mean(enumerate(values), share=share, signed=signed)


def paired_difference(
    first: Iterable[tuple[Hashable, float]],
    second: Iterable[tuple[Hashable, float]],
    *,
    share: bool = False,
) -> Estimate:
    """Mean of (second - first) over the clusters that both have, each cluster counted once.

    A cluster's value is the mean of its values; clusters that only one side has are left out, so
    the same problems stand on both sides.  `n` is the number of pairs.  Of a `share`, the interval
    stays within [-1, 1].
    """
    a, b = _cluster_means(first), _cluster_means(second)
    differences = [(key, b[key] - a[key]) for key in a if key in b]
    return clustered_mean(differences, signed=share)


def _cluster_means(pairs: Iterable[tuple[Hashable, float]]) -> dict[Hashable, float]:
    values: dict[Hashable, list[float]] = defaultdict(list)
    for cluster, value in pairs:
        values[cluster].append(value)
    return {cluster: fmean(found) for cluster, found in values.items()}


def cluster_bootstrap(
    sums: Sequence[Sequence[float]],
    statistic: Callable[[Sequence[float]], float | None],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of a statistic of totals (a ratio, a table); whole clusters are drawn.

    `sums[g]` is what cluster g adds to the totals.  None with fewer than MIN_CLUSTERS, of which
    draws know too little, or where the statistic is undefined (None) in over a tenth of the draws.
    """
    if len(sums) < MIN_CLUSTERS:
        return None
    import numpy as np

    rng = np.random.default_rng(keyed_seed("bootstrap", seed, len(sums)))
    weights = rng.multinomial(len(sums), [1 / len(sums)] * len(sums), size=draws)
    values = [statistic(total) for total in (weights @ np.asarray(sums, dtype=float)).tolist()]
    found = sorted(v for v in values if v is not None)
    if len(found) < 0.9 * draws:
        return None
    edge = (1 - CONFIDENCE) / 2
    return found[round(edge * (len(found) - 1))], found[round((1 - edge) * (len(found) - 1))]


def cohens_kappa(table: Sequence[float]) -> float | None:
    """Agreement of two raters beyond chance; None where chance alone would agree always.

    `table`: how often (both yes, only the first, only the second, both no).
    """
    both, first, second, neither = table
    n = both + first + second + neither
    if n == 0:
        return None
    yes_a, yes_b = (both + first) / n, (both + second) / n
    chance = yes_a * yes_b + (1 - yes_a) * (1 - yes_b)
    observed = (both + neither) / n
    return None if isclose(chance, 1.0) else (observed - chance) / (1 - chance)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats, in order of x; less x and more y is better.

    Of points that coincide, the first stands for all.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    front: list[int] = []
    best = float("-inf")
    for index in order:
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front
