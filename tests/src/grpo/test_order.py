"""The order of problems: one for each epoch, and what comes next in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from trl.trainer.utils import RepeatSampler

from src.grpo.order import EpochSampler, Order, by_epoch

RANKS, ROWS, MU = 2, 4, 2  # four rows a rank: four problems a batch, two samples each


def sampler(problems: int = 13) -> EpochSampler:
    repeats = {"mini_repeat_count": 2, "batch_size": 4, "repeat_count": 3 * MU}
    return by_epoch(RepeatSampler(range(problems), **repeats, seed=1))


def test_an_epoch_s_order_does_not_depend_on_those_before() -> None:
    real, resumed = sampler(), sampler()
    orders = []
    for epoch in range(3):
        real.set_epoch(epoch)
        orders.append(list(real))
    resumed.set_epoch(2)
    assert list(resumed) == orders[2]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] == list(RepeatSampler(range(13), 2, 4, 3 * MU, seed=1)), "as TRL begins"


def given(problems: int, rank: int, epochs: int) -> list[tuple[list[int], int]]:
    """What the sampler gives a rank, each batch once, and its epoch."""
    found, real = [], sampler(problems)
    for epoch in range(epochs):
        real.set_epoch(epoch)
        indices = list(real)
        for at in range(0, len(indices), RANKS * ROWS * 3 * MU):
            mine = indices[at : at + RANKS * ROWS][rank * ROWS : (rank + 1) * ROWS]
            found.append((mine, epoch))
    return found


@pytest.mark.parametrize("rank", range(RANKS))
@pytest.mark.parametrize(("problems", "batches"), [(7, 1), (13, 3)])
def test_what_comes_next_is_known(rank: int, problems: int, batches: int) -> None:
    """From any place, as after a resumption."""
    expected = given(problems, rank, epochs=4)
    assert len(expected) == 4 * batches
    order = Order(sampler(problems), rows=ROWS, rank=rank, ranks=RANKS)
    for now, later in pairwise(expected):
        assert order.after(*now) == later


def test_a_batch_that_the_sampler_does_not_have_is_refused() -> None:
    order = Order(sampler(), rows=ROWS, rank=0, ranks=RANKS)
    with pytest.raises(RuntimeError, match=r"^train\.overlap: "):
        order.after([0, 1, 2, 3], 0)
