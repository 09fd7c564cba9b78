"""`train.overlap`: the next batch's conversations, held while the trainer works on this one.

A batch in flight was begun with the weights that the batch before it is trained from, so it is one
update old when it is trained on; the sampler's logprobs, which TRL corrects with, say by how much.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from utils.problems import Problem
from utils.records import ConversationRecord

Begin = Callable[[Sequence[Problem], Sequence[int], int, int], Future[list[ConversationRecord]]]


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of a batch, as positions in the problems, and the step and epoch that it is held for."""

    indices: list[int]
    step: int
    epoch: int


class Ahead:
    """At most one batch in flight.  On the node's lead only."""

    def __init__(self, begin: Begin) -> None:
        """`begin` starts conversations on (problems, samples, step, epoch), and returns at once."""
        self._begin = begin
        self._flight: tuple[Batch, Future[list[ConversationRecord]]] | None = None

    def start(self, batch: Batch, problems: Sequence[Problem], samples: Sequence[int]) -> None:
        """Begin a batch's conversations."""
        if self._flight is not None:
            raise RuntimeError(f"the batch of step {self._flight[0].step} is still in flight")
        self._flight = (batch, self._begin(problems, samples, batch.step, batch.epoch))

    def wait(self) -> None:
        """Return when no conversation is in flight.  Raises what went wrong in one."""
        if self._flight is None:
            return
        try:
            self._flight[1].result()
        except Exception:
            self._flight = None
            raise

    def collect(self, batch: Batch) -> list[ConversationRecord] | None:
        """The records of this batch, once it is whole; None where none is in flight."""
        if self._flight is None:
            return None
        flying, future = self._flight
        if flying != batch:
            raise RuntimeError(f"conversations were held for {flying}, but {batch} came")
        self.wait()
        self._flight = None
        return future.result()

    def cancel(self) -> None:
        """Want what is in flight no more; what went wrong in it is said."""
        if self._flight is None:
            return
        (batch, future), self._flight = self._flight, None
        if not future.cancel() and (error := future.exception()) is not None:
            log.warning("conversations for step %d had failed: %s", batch.step, error)


class Order:
    """What TRL's sampler will give a rank next, found by a second sampler of the same seed.

    It finds its place by the batch that has just come, so it needs to know of no resumption.
    """

    def __init__(self, sampler: Any, *, rows: int, rank: int, ranks: int) -> None:
        """`sampler`: a fresh `trl.trainer.utils.RepeatSampler`; `rows`: of a batch on one rank.

        Ranks have consecutive rows of a batch.
        """
        sampler.repeat_count = 1  # each batch once, however often it is trained on
        self._per_epoch = len(sampler) // (rows * ranks)
        self._batches = self._walk(sampler, rows, rank, rows * ranks)
        self._now = next(self._batches)

    def after(self, indices: Sequence[int]) -> tuple[list[int], int]:
        """This rank's rows of the batch after `indices`, and how many epochs later it is: 0, 1."""
        for _ in range(self._per_epoch):
            (rows, epoch), self._now = self._now, next(self._batches)
            if rows == list(indices):
                return self._now[0], self._now[1] - epoch
        raise RuntimeError("train.overlap: TRL gave a batch that its sampler does not have")

    @staticmethod
    def _walk(sampler: Any, rows: int, rank: int, whole: int) -> Iterator[tuple[list[int], int]]:
        for epoch in count():
            indices = iter(sampler)
            while batch := list(islice(indices, whole)):
                yield batch[rank * rows : (rank + 1) * rows], epoch
