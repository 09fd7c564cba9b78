"""Means of estimators against the policy gradient, over every group that can happen.

Exact on both sides: no sampling, so what is unbiased agrees to rounding, and what is biased is off
by what was predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest

from tests.utils.credit.tiny_classroom import (
    ASK,
    END,
    TELL,
    Said,
    Talk,
    TinyClassroom,
    Vector,
    outcome,
)
from utils.credit.advantages import Credit, advantages

GROUP = 3
GRAINS: tuple[Literal["turn", "conversation"], ...] = ("turn", "conversation")


def learnt(said: Said) -> float:
    """Asking teaches, telling only a little, and whoever ends too soon is not done."""
    return said.count(ASK) * 1.0 + said.count(TELL) * 0.3 + (0.25 if len(said) > 1 else 0.0) - 0.8


ROOM = TinyClassroom(turns=2, reward=learnt)


def ours(credit: Credit, cost: float | None = None) -> Any:
    def weights(talks: Sequence[Talk]) -> Sequence[Sequence[float]]:
        return advantages([[outcome(t, cost=cost) for t in talks]], credit).turns

    return weights


def close(found: Vector, expected: Vector) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_the_exact_gradient_is_that_of_the_expected_reward() -> None:
    """By finite differences of the logits."""
    step, found = 1e-6, ROOM.gradient()
    for i in range(ROOM.logits.size):
        means = []
        for sign in (1, -1):
            room = TinyClassroom(turns=2, reward=learnt)
            moved = ROOM.logits.copy()
            moved.ravel()[i] += sign * step
            room.__dict__["logits"] = moved
            means.append(float(room.expected(lambda t: t.reward)))
        assert found[i] == pytest.approx((means[0] - means[1]) / (2 * step), abs=1e-8)
    assert np.abs(found).max() > 0.05


@pytest.mark.parametrize("grain", GRAINS)
def test_leaving_one_out_is_unbiased(grain: Any) -> None:
    credit = Credit(grain=grain, baseline="leave_one_out", scale="none")
    close(ROOM.mean(GROUP, ours(credit)), ROOM.gradient())


def test_unbiased_where_turns_only_fail_on_the_record() -> None:
    """Who reaches a turn by chance alone: three turns, pairs."""
    room = TinyClassroom(turns=3, reward=learnt, seed=5)
    credit = Credit(grain="turn", baseline="leave_one_out", scale="none")
    close(room.mean(2, ours(credit)), room.gradient())


def test_the_groups_mean_shortens_the_gradient() -> None:
    """By 1/G for a conversation, which is its own sibling: the direction is right."""
    credit = Credit(grain="conversation", baseline="group", scale="none")
    close(ROOM.mean(GROUP, ours(credit)), (1 - 1 / GROUP) * ROOM.gradient())


def share_kept(p: float, group: int) -> float:
    """Mean of 1 - 1/n, where n siblings, oneself among them, reach a turn with probability p."""
    return float(1 - (1 - (1 - p) ** group) / (group * p))


def test_the_mean_of_those_who_reached_a_turn_shortens_later_turns_more() -> None:
    """Biased: the direction changes, by what the chance of reaching each turn predicts."""
    credit = Credit(grain="turn", baseline="group", scale="none")
    kept = [share_kept(ROOM.reached(k), GROUP) for k in range(2)]
    parts = zip(kept, ROOM.gradient_by_turn(), strict=True)
    predicted = np.asarray(sum(share * part for share, part in parts))
    found = ROOM.mean(GROUP, ours(credit))
    close(found, predicted)
    print("kept of each turn's gradient:", *(f"{each:.3f}" for each in kept))
    assert kept[1] < kept[0] - 0.02
    alike = found @ ROOM.gradient() / np.linalg.norm(found) / np.linalg.norm(ROOM.gradient())
    assert alike < 1 - 1e-4


def turn_reward(said: Said, k: int) -> float:
    return {ASK: -0.5, TELL: -0.2, END: -0.1}[said[k]]


def normalised_by_index(talks: Sequence[Talk]) -> Sequence[Sequence[float]]:
    """Rewards of turns, each less the others' mean at its index, then summed to the end."""
    table = []
    for i, talk in enumerate(talks):
        above = []
        for k in range(len(talk.said)):
            others = [turn_reward(t.said, k) for j, t in enumerate(talks)
                      if j != i and k < len(t.said)]  # fmt: skip
            above.append(turn_reward(talk.said, k) - (np.mean(others) if others else 0.0))
        table.append([float(sum(above[k:])) for k in range(len(above))])
    return table


def test_normalising_by_turn_index_pays_for_every_further_turn() -> None:
    """verl's RFC 7244.  A turn's baseline inside the return of those before it is a hidden bonus
    of minus the mean reward at that index, for whoever goes on: here talking costs, and the
    estimator says to talk longer than the gradient does."""
    room = TinyClassroom(2, lambda said: sum(turn_reward(said, k) for k in range(len(said))))
    reached = room.reached(1)
    mean = sum(t.probability * turn_reward(t.said, 1) for t in room.talks if len(t.said) > 1)
    some_sibling = 1 - (1 - reached) ** (GROUP - 1)
    reaching = room.expected(lambda t: t.scores[0] if len(t.said) > 1 else 0.0 * t.scores[0])
    bonus = -mean / reached * some_sibling * reaching
    found = room.mean(GROUP, normalised_by_index)
    close(found, room.gradient() + bonus)
    at = room.states.index(())
    end = found.reshape(-1, 3)[at, END], room.gradient().reshape(-1, 3)[at, END]
    print(f"gradient of ending at once: {end[1]:+.4f}, by turn index {end[0]:+.4f}")
    assert end[0] < end[1] - 0.02
    # ours, of the same rewards
    close(
        room.mean(GROUP, ours(Credit(grain="turn", baseline="leave_one_out", scale="none"))),
        room.gradient(),
    )


def test_a_failed_turn_counts_as_an_average_one_and_pays() -> None:
    """What turn rules trade: the outcome of failed turns is left out, and their cost is felt at
    their own tokens only.  Both are as predicted, and neither is the gradient."""
    cost = 0.4
    credit = Credit(grain="turn", baseline="leave_one_out", scale="none")
    chance = [ROOM.reached(k) for k in range(2)]
    means = [sum(t.probability * t.reward for t in ROOM.talks if k < len(t.said)) / chance[k]
             for k in range(2)]  # fmt: skip
    everyone = float(ROOM.expected(lambda t: t.reward))
    alone = [(1 - p) ** (GROUP - 1) for p in chance]  # no sibling is there: all are compared with
    # given that no sibling reached turn 1, each of them ended at once
    ended = [t for t in ROOM.talks if len(t.said) == 1]
    short = sum(t.probability * t.reward for t in ended) / sum(t.probability for t in ended)
    base = [means[0], (1 - alone[1]) * means[1] + alone[1] * short]
    assert alone[0] == 0.0 and everyone == pytest.approx(means[0])

    def predicted(t: Talk) -> Vector:
        return sum(
            (score * (-cost if token == TELL else t.reward - base[k])
             for k, (token, score) in enumerate(zip(t.said, t.scores, strict=True))),
            np.zeros(ROOM.logits.size),
        )  # fmt: skip

    found = ROOM.mean(GROUP, ours(credit, cost))
    close(found, ROOM.expected(predicted))
    apart = np.linalg.norm(found - ROOM.gradient()) / np.linalg.norm(ROOM.gradient())
    print(f"with failed turns left out and charged: off by {apart:.2f} of the gradient")
    assert apart > 0.05


def test_dividing_by_the_groups_spread_is_no_gradient_of_the_mean_reward() -> None:
    """The paper's estimator is not one of the expected reward, and does not say that it is."""
    found = ROOM.mean(GROUP, ours(Credit()))
    scaled = found * (found @ ROOM.gradient()) / (found @ found)
    assert np.abs(scaled - ROOM.gradient()).max() > 1e-3


def test_variance_of_turn_credit() -> None:
    """Siblings that reached a turn tell more about it than those that did not."""
    room = TinyClassroom(turns=2, reward=lambda s: 2.0 * (len(s) > 1) + 0.2 * (s[-1] == ASK))
    turn, whole = (
        room.variance(GROUP, ours(Credit(grain=grain, baseline="leave_one_out", scale="none")), 1)
        for grain in GRAINS
    )
    print(f"variance of the second turn's part: {turn:.4f} by turn, {whole:.4f} by conversation")
    assert turn < 0.8 * whole
