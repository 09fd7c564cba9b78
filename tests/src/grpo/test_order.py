"""The order of problems: one for each epoch, and what comes next in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from accelerate.data_loader import prepare_data_loader, skip_first_batches
from torch.utils.data import DataLoader
from trl.trainer.utils import RepeatSampler

from src.grpo.order import EpochSampler, Order

RANKS, ROWS, MU = 2, 4, 2  # four rows a rank: four problems a batch, two samples each


def sampler(problems: int = 13, epoch: int = 0) -> EpochSampler:
    repeats = {"mini_repeat_count": 2, "batch_size": 4, "repeat_count": 3 * MU}
    return EpochSampler(RepeatSampler(range(problems), **repeats, seed=1), lambda: epoch)


def test_an_epoch_s_order_does_not_depend_on_those_before() -> None:
    real = sampler()
    orders = [real.order(epoch) for epoch in range(3)]
    assert list(sampler(epoch=2)) == orders[2]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] == list(RepeatSampler(range(13), 2, 4, 3 * MU, seed=1)), "as TRL begins"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_that_goes_on_within_an_epoch_has_its_order(ranks: int) -> None:
    """By what transformers and accelerate do then: a loader for each rank, its batches skipped."""
    expected = sampler().order(1)
    found = []
    for rank in range(ranks):
        loader = DataLoader(range(13), batch_size=ROWS, sampler=sampler(epoch=1))
        ready = prepare_data_loader(loader, num_processes=ranks, process_index=rank)
        rest = skip_first_batches(ready, 2)
        rest.set_epoch(1)
        found.append([batch.tolist() for batch in rest])
    together = [row for batches in zip(*found, strict=True) for batch in batches for row in batch]
    assert together == expected[2 * ROWS * ranks :]


def given(problems: int, rank: int, epochs: int) -> list[tuple[list[int], int]]:
    """What the sampler gives a rank, each batch once, and its epoch."""
    found, real = [], sampler(problems)
    for epoch in range(epochs):
        indices = real.order(epoch)
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
