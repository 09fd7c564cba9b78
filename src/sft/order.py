"""The order of training rows: of like length in a batch, by seed and epoch alone.

The trainer's own samplers draw on the process's random state, which an evaluation or a resume
moves on; this order is the same for every rank, and again after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from utils.seeding import keyed_seed


class SeededOrder(Sampler[int]):
    """Every row once an epoch, in groups of `batch` rows of like length."""

    def __init__(
        self, lengths: Sequence[int], batch: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(keyed_seed(self._seed, "order", self._epoch()))
        order = get_length_grouped_indices(self._lengths, self._batch, generator=generator)
        return iter(order)


class InSeededOrder:
    """A trainer that takes its rows so; rows without the column `length` count as equally long."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        trainer: Any = self
        rows = trainer.train_dataset if train_dataset is None else train_dataset
        lengths = list(rows["length"]) if "length" in rows.column_names else [1] * len(rows)
        arguments = trainer.args
        batch = arguments.train_batch_size * arguments.gradient_accumulation_steps
        return SeededOrder(
            lengths,
            batch * arguments.world_size,
            arguments.seed,
            # from the state, which a checkpoint restores; accelerate counts from 0 after a resume
            lambda: int((trainer.state.epoch or 0.0) + 1e-6),
        )
