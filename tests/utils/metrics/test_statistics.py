"""Statistics against numbers computed by hand, or known from tables."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.coverage import clustered, independent
from utils.metrics.statistics import (
    NOTHING,
    cluster_bootstrap,
    clustered_mean,
    cohens_kappa,
    mean_over_seeds,
    paired_difference,
    pareto_front,
    t_quantile,
)


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.706205), (0.975, 2, 4.302653), (0.975, 10, 2.228139), (0.995, 4, 4.604095),
     (0.975, 100, 1.983972), (0.975, 10_000, 1.959964)],
)  # fmt: skip
def test_t_quantile_is_the_tables(probability: float, degrees: int, expected: float) -> None:
    close = 1e-6 if degrees < 999 else 1e-3  # normal beyond 2000
    assert t_quantile(probability, degrees) == pytest.approx(expected, abs=close)


def test_singletons_give_the_usual_standard_error() -> None:
    values = [1.0, 2.0, 4.0, 7.0]
    estimate = clustered_mean(enumerate(values))
    # mean 3.5, sample variance 7, se sqrt(7 / 4)
    assert estimate.mean == 3.5
    assert estimate.se == pytest.approx(sqrt(7 / 4))
    assert estimate.low == pytest.approx(3.5 - 3.182446 * sqrt(7 / 4), abs=1e-5)
    assert (estimate.n, estimate.clusters) == (4, 4)


def test_clusters_by_hand() -> None:
    # a: 0, 0; b: 1, 1, 1.  mean .6; residual sums a: -1.2, b: 1.2;
    # se^2 = 2/1 * (1.44 + 1.44) / 25
    estimate = clustered_mean([("a", 0.0), ("a", 0.0), ("b", 1.0), ("b", 1.0), ("b", 1.0)])
    assert estimate.mean == pytest.approx(0.6)
    assert estimate.se == pytest.approx(sqrt(2 * 2.88 / 25))
    assert (estimate.n, estimate.clusters) == (5, 2)


def test_repeating_each_value_adds_no_certainty() -> None:
    once = clustered_mean([(i, v) for i, v in enumerate([0.0, 1.0, 1.0, 0.5])])
    often = clustered_mean([(i, v) for i, v in enumerate([0.0, 1.0, 1.0, 0.5]) for _ in range(8)])
    assert once.se == pytest.approx(often.se)
    assert often.n == 32


def test_nothing_and_one_cluster_claim_no_spread() -> None:
    assert clustered_mean([]) == NOTHING
    one = clustered_mean([("a", 1.0), ("a", 0.0)])
    assert (one.mean, one.se, one.low, one.high, one.n) == (0.5, None, None, None, 2)


def test_all_the_same_share_is_not_certain() -> None:
    none = clustered_mean([(i, 0.0) for i in range(20)], share=True)
    assert none.se == 0.0 and none.low == 0.0
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))  # Clopper-Pearson, 0 of 20
    every = clustered_mean([(i, 1.0) for i in range(20)], share=True)
    assert every.low == pytest.approx(0.025 ** (1 / 20)) and every.high == 1.0
    no_share = clustered_mean([(i, 0.0) for i in range(20)])
    assert (no_share.low, no_share.high) == (0.0, 0.0)


def test_paired_difference_pairs_by_cluster() -> None:
    a = [("p", 0.2), ("p", 0.4), ("q", 0.5), ("r", 1.0)]
    b = [("q", 0.8), ("p", 0.5), ("s", 0.0)]
    d = paired_difference(a, b)  # p: .5 - .3, q: .8 - .5; sd of (.2, .3) is .0707107
    assert d.mean == pytest.approx(0.25)
    assert d.se == pytest.approx(0.05)
    assert d.n == 2
    assert d.high == pytest.approx(0.25 + 12.706205 * 0.05, abs=1e-5)
    assert paired_difference(a, [("z", 1.0)]) == NOTHING


def test_pairing_removes_what_problems_have_in_common() -> None:
    hard = [(i, float(i % 2)) for i in range(40)]
    easier = [(i, i % 2 + 0.1) for i in range(40)]
    assert paired_difference(hard, easier).se == pytest.approx(0.0, abs=1e-12)
    assert (clustered_mean(hard).se or 0) > 0.07


def test_mean_over_seeds() -> None:
    assert mean_over_seeds([0.1, 0.2, 0.3]).se == pytest.approx(0.1 / sqrt(3))


def test_bootstrap_covers_the_mean_and_is_repeatable() -> None:
    sums = [(float(v), 1.0) for v in (0, 1, 1, 0, 1, 1, 0, 1, 1, 1)]
    interval = cluster_bootstrap(sums, lambda total: total[0] / total[1])
    assert interval == cluster_bootstrap(sums, lambda total: total[0] / total[1])
    assert interval is not None and interval[0] < 0.7 < interval[1]
    assert interval[0] > 0.3 and interval[1] <= 1.0
    assert cluster_bootstrap(sums[:1], lambda total: total[0]) is None
    assert cluster_bootstrap(sums, lambda total: None) is None


def test_kappa_by_hand() -> None:
    # 20 both, 5 first only, 10 second only, 15 neither: observed .7, chance .5*.6 + .5*.4 = .5
    assert cohens_kappa([20, 5, 10, 15]) == pytest.approx(0.4)
    assert cohens_kappa([10, 0, 0, 10]) == 1.0
    assert cohens_kappa([10, 0, 0, 0]) is None
    assert cohens_kappa([0, 0, 0, 0]) is None


def test_front_by_hand() -> None:
    points = [(0.9, 0.95), (0.1, 0.8), (0.1, 0.7), (0.5, 0.6), (0.0, 0.3), (0.1, 0.8)]
    assert pareto_front(points) == [4, 1, 0]
    assert pareto_front([]) == []


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=30))
def test_front_is_exactly_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    front = [points[i] for i in pareto_front(points)]

    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    assert {p for p in points if not any(beats(q, p) for q in points)} == set(front)
    assert len(front) == len(set(front))


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-10, 10)), min_size=1, max_size=60))
def test_estimate_is_the_plain_mean_whatever_the_clusters(pairs: list[tuple[int, float]]) -> None:
    estimate = clustered_mean(pairs)
    assert estimate.mean == pytest.approx(sum(v for _, v in pairs) / len(pairs), abs=1e-9)
    assert estimate.n == len(pairs)
    if estimate.low is not None and estimate.high is not None:
        assert estimate.low <= estimate.mean <= estimate.high


def test_one_of_fifty_stays_a_share() -> None:
    one = clustered_mean(((i, float(i == 0)) for i in range(50)), share=True)
    assert one.low is not None and one.high is not None
    assert 0 < one.low < 0.005 and 0.1 < one.high < 0.13


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("n", [50, 100, 500])
def test_the_interval_of_a_share_covers(share: float, n: int) -> None:
    assert independent(share, n).ours >= 0.93  # exact


@pytest.mark.parametrize(("size", "correlation"), [(5, 0.3), (8, 0.5)])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("n", [50, 100, 500])
def test_it_covers_in_clustered_samples(
    share: float, n: int, size: int, correlation: float
) -> None:
    assert clustered(share, n, size, correlation, draws=600).ours >= 0.93


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=2, max_size=30),
    st.booleans(),
)
def test_intervals_stay_in_their_range(pairs: list[tuple[int, float]], signed: bool) -> None:
    values = [(key, 2 * v - 1 if signed else v) for key, v in pairs]
    found = clustered_mean(values, share=True, signed=signed)
    if found.low is not None and found.high is not None and found.mean is not None:
        assert (-1 if signed else 0) <= found.low <= found.mean + 1e-9
        assert found.mean - 1e-9 <= found.high <= 1


def test_two_problems_that_both_gain_everything_are_not_certain() -> None:
    zeros, ones = [("p", 0.0), ("q", 0.0)], [("p", 1.0), ("q", 1.0)]
    found = paired_difference(zeros, ones, share=True)
    assert found.mean == 1.0 and found.low is not None and found.low < 0


def test_few_clusters_have_no_bootstrap() -> None:
    sums = [(float(v), 1.0) for v in (0, 1, 1, 0, 1, 1, 0, 1, 1)]
    assert cluster_bootstrap(sums, lambda total: total[0] / total[1]) is None
