"""Which problems come when: an order for each epoch, and what comes next in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from trl.trainer.utils import RepeatSampler


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's sampler, whose order depends on the seed and the epoch alone.

    TRL draws the orders one after the other, so a run that goes on in its third epoch would begin
    with the first one's.
    """

    def __init__(self, like: RepeatSampler, epoch: Callable[[], int]) -> None:
        """`epoch`: which one begins; accelerate's `set_epoch` does not reach every sampler."""
        super().__init__(
            like.data_source,
            mini_repeat_count=like.mini_repeat_count,
            batch_size=like.batch_size,
            repeat_count=like.repeat_count,
            shuffle=like.shuffle,
            seed=like.seed,
        )
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self._epoch()))

    def order(self, epoch: int) -> list[int]:
        """Indices of one epoch."""
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + epoch)
        return list(super().__iter__())


class Order:
    """What a sampler will give a rank after a batch, found by a second one like it."""

    def __init__(self, sampler: EpochSampler, *, rows: int, rank: int, ranks: int) -> None:
        """`rows`: of a batch on one rank; ranks have consecutive rows of it."""
        sampler.repeat_count = 1  # each batch once, however often it is trained on
        self._sampler, self._rows, self._rank, self._ranks = sampler, rows, rank, ranks

    def after(self, indices: Sequence[int], epoch: int) -> tuple[list[int], int]:
        """This rank's rows of the batch after `indices` of `epoch`, and the epoch of that one."""
        batches = self._batches(epoch)
        if list(indices) not in batches:
            raise RuntimeError("train.overlap: TRL gave a batch that its sampler does not have")
        following = batches.index(list(indices)) + 1
        if following < len(batches):
            return batches[following], epoch
        return self._batches(epoch + 1)[0], epoch + 1

    def _batches(self, epoch: int) -> list[list[int]]:
        indices, whole = self._sampler.order(epoch), self._rows * self._ranks
        mine = slice(self._rank * self._rows, (self._rank + 1) * self._rows)
        return [indices[at : at + whole][mine] for at in range(0, len(indices), whole)]
