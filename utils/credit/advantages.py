"""Advantages of tutor turns: centred on the group, scaled, credited, and what a failed turn costs.

What is unbiased, and what is not and by how much, is in docs/credit.md; the test that enumerates
a whole classroom is tests/utils/credit/test_unbiased.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Literal

from utils.credit.outcomes import Outcome, TutorTurn

EPSILON = 1e-4  # added to a standard deviation, as in the paper's code and in TRL
Group = Sequence[Outcome]  # conversations about one problem
Values = Sequence[float | None]  # one for each conversation of a group; None: left out
Table = list[list[float]]  # by conversation, by tutor turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """How outcomes become advantages.

    `grain`: whether all turns of a conversation have its advantage, or each turn its own.
    `weights`: None: of `total`; else of each part, normalised by itself (GDPO, arXiv 2601.05242).
    `baseline`: the mean of the group, or of the others in it.
    `scale`: the standard deviation that is divided by: the group's, the batch's, none.
    """

    grain: Literal["conversation", "turn"] = "conversation"
    weights: Mapping[str, float] | None = None
    baseline: Literal["group", "leave_one_out"] = "group"
    scale: Literal["group", "batch", "none"] = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """`turns`: by conversation of the batch, by tutor turn, costs included."""

    turns: Table
    without_spread: Mapping[str, float]  # share of groups, by part, in which all had the same


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signal:
    """One part of what a group earned, with what it is divided by and then multiplied by."""

    values: Values
    divisor: float
    weight: float


def advantages(groups: Sequence[Group], credit: Credit) -> Advantages:
    """The advantage of every tutor turn of a batch; 0 in a conversation that is left out.

    A conversation's advantage is its value less the baseline, over the scale.  With turn credit
    turn k is compared with the siblings that reached a turn k (in a session: about the same
    problem), and shares in the outcome only if it earns.  Costs come after everything else.
    """
    weights = credit.weights if credit.weights is not None else {"total": 1.0}
    values = {name: [_values(g, name, weights[name], credit) for g in groups] for name in weights}
    divisors = {name: _divisors(found, credit.scale) for name, found in values.items()}
    signals = [
        [_Signal(values=values[n][i], divisor=divisors[n][i], weight=w) for n, w in weights.items()]
        for i in range(len(groups))
    ]
    divisor = _of_the_sum(groups, signals, credit)
    turns = [
        [
            _charged(turn, each / divisor, credit.grain)
            for turn, each in zip(o.turns, row, strict=True)
        ]
        for group, own in zip(groups, signals, strict=True)
        for o, row in zip(group, _rows(group, own, credit), strict=True)
    ]
    return Advantages(turns=turns, without_spread={n: _alike(v) for n, v in values.items()})


def _values(group: Group, name: str, weight: float, credit: Credit) -> Values:
    """Of one part, by conversation.  Parts are recorded after their weights, which come back."""
    before = 1.0 if credit.weights is None else weight
    return [o.rewards.get(name, 0.0) / before if o.rewards else None for o in group]


def _deviation(values: Values) -> float:
    """With n - 1 below; 0 for fewer than two."""
    there = [v for v in values if v is not None]
    if len(there) < 2:
        return 0.0
    mean = fmean(there)
    return sqrt(sum((v - mean) ** 2 for v in there) / (len(there) - 1))


def _divisors(groups: Sequence[Values], scale: str) -> list[float]:
    """What each group's values are divided by."""
    if scale == "none":
        return [1.0] * len(groups)
    if scale == "batch":
        return [_deviation([v for values in groups for v in values]) + EPSILON] * len(groups)
    return [_deviation(values) + EPSILON for values in groups]


def _of_the_sum(
    groups: Sequence[Group], signals: Sequence[Sequence[_Signal]], credit: Credit
) -> float:
    """What sums of normalised parts are divided by: their spread over the conversations."""
    if credit.weights is None:
        return 1.0
    sums = [
        sum(s.weight * _above(s.values, i, range(len(group)), credit) / s.divisor for s in own)
        for group, own in zip(groups, signals, strict=True)
        for i, outcome in enumerate(group)
        if outcome.rewards
    ]
    return _deviation(sums) + EPSILON


def _rows(group: Group, signals: Sequence[_Signal], credit: Credit) -> Table:
    """Advantages by conversation and turn, before costs."""
    everyone, places = range(len(group)), [outcome.places for outcome in group]
    table = []
    for i in everyone:
        row = []
        for place in places[i]:
            peers = [j for j in everyone if place in places[j]]
            compared = everyone if credit.grain == "conversation" else peers
            row.append(
                sum(s.weight * _above(s.values, i, compared, credit) / s.divisor for s in signals)
            )
        table.append(row)
    return table


def _above(values: Values, i: int, compared: Sequence[int], credit: Credit) -> float:
    """How much more than the baseline conversation i has; 0 where it is left out.

    Whoever has nobody to be compared with at a turn is compared with the whole group: without
    a baseline it would be unbiased too, but noisier.
    """
    own = values[i]
    if own is None:
        return 0.0
    if credit.baseline == "group":
        return own - fmean(v for j in compared if (v := values[j]) is not None)
    others = [v for j in compared if j != i and (v := values[j]) is not None]
    others = others or [v for j, v in enumerate(values) if j != i and v is not None]
    return own - fmean(others) if others else 0.0


def _charged(turn: TutorTurn, share: float, grain: str) -> float:
    """What a turn has in the end: its share of the outcome, and its cost."""
    return (share if turn.earns or grain == "conversation" else 0.0) - turn.cost


def _alike(groups: Sequence[Values]) -> float:
    """The share of groups in which nobody differs."""
    return fmean(float(_deviation(values) == 0.0) for values in groups)


def by_token(outcome: Outcome, turns: Sequence[float], length: int) -> list[float]:
    """Advantages of `length` tokens of a completion; 0 where the tutor did not speak."""
    row = [0.0] * length
    for turn, value in zip(outcome.turns, turns, strict=True):
        row[turn.start : turn.end] = [value] * (turn.end - turn.start)
    return row
