"""The order of rows depends on seed and epoch, and on nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from src.sft.order import SeededOrder


@given(st.lists(st.integers(1, 500), min_size=1, max_size=80), st.integers(1, 9), st.integers(0, 5))
def test_every_row_once_whatever_the_state(lengths: list[int], batch: int, epoch: int) -> None:
    order = SeededOrder(lengths, batch, 3, lambda: epoch)
    first = list(order)
    torch.rand(7)
    assert list(order) == first
    assert sorted(first) == list(range(len(lengths))) == list(range(len(order)))


def test_epochs_and_seeds_differ_and_batches_are_of_like_length() -> None:
    lengths = [i % 50 for i in range(1000)]
    orders = [list(SeededOrder(lengths, 4, s, lambda e=e: e)) for s in (0, 1) for e in (0, 1)]  # type: ignore[misc]
    assert len({tuple(order) for order in orders}) == 4
    batches = [orders[0][i : i + 4] for i in range(4, 1000, 4)]  # the first holds the longest row
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(spread) / len(spread) < 3
