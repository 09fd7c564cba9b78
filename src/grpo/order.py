"""Which problems come when: an order for each epoch, and what comes next in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trl.trainer.utils import RepeatSampler


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's sampler, whose order depends on the seed and the epoch alone.

    TRL draws the orders one after the other, so a run that goes on in its third epoch would begin
    with the first one's.
    """

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by transformers, through accelerate's dataloader, before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed(self.seed + self.epoch)
        yield from super().__iter__()


def by_epoch(sampler: RepeatSampler) -> EpochSampler:
    """The same sampler with an order for each epoch."""
    return EpochSampler(
        sampler.data_source,
        mini_repeat_count=sampler.mini_repeat_count,
        batch_size=sampler.batch_size,
        repeat_count=sampler.repeat_count,
        shuffle=sampler.shuffle,
        seed=sampler.seed,
    )


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
        self._sampler.set_epoch(epoch)
        indices, whole = list(self._sampler), self._rows * self._ranks
        mine = slice(self._rank * self._rows, (self._rank + 1) * self._rows)
        return [indices[at : at + whole][mine] for at in range(0, len(indices), whole)]
