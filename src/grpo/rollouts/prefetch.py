"""`train.overlap`: the next batch's conversations, sampled while the trainer works on this one.

A batch in flight was started with the weights that the batch before it is trained from, so it is
one update old when it is trained on; the sampler's logprobs, which TRL corrects with, say by how
much.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from utils.data.problems import Problem
from utils.records import ConversationRecord

Begin = Callable[[Sequence[Problem], Sequence[int], int, int], Future[list[ConversationRecord]]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of a batch, as positions in the problems, and the step and epoch that it is held for."""

    indices: list[int]
    step: int
    epoch: int


class Prefetch:
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
