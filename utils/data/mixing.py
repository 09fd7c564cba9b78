"""Several sources in one set: each with its share of the limit, in an order of the seed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeVar

from config.errors import ConfigError
from utils.seeding import keyed_rng

T = TypeVar("T")
_log = logging.getLogger(__name__)


def mix(
    sources: Sequence[Sequence[T]],
    ratios: Sequence[float],
    *,
    seed: int,
    limit: int = -1,
    setting: str,
) -> list[T]:
    """`limit` rows (-1: all there are), shared out over the sources by ratio, shuffled.

    Raises ConfigError that names the setting.
    """
    if not sources:
        raise ConfigError(f"{setting}: no dataset is given")
    counts = shares([len(source) for source in sources], ratios, limit, setting=setting)
    chosen: list[T] = []
    for index, (source, count) in enumerate(zip(sources, counts, strict=True)):
        rows = list(source)
        keyed_rng(seed, "dataset", index).shuffle(rows)
        chosen += rows[:count]
    if not chosen:
        raise ConfigError(f"{setting}: no row is left; a limit of {limit} is less than one each")
    keyed_rng(seed, "mix").shuffle(chosen)
    return chosen


def shares(sizes: Sequence[int], ratios: Sequence[float], limit: int, *, setting: str) -> list[int]:
    """Rows to take of each source: its ratio's part of the limit, rounded down, if it has so many.

    As in the paper's code, ratios are weights (3 and 1 are .75 and .25), and without a limit every
    row is taken, whatever they are.  Both are said.
    """
    for index, ratio in enumerate(ratios):
        if not ratio > 0:
            raise ConfigError(f"{setting}[{index}].ratio: must be greater than 0, got {ratio}")
    if limit < 0:
        if len(set(ratios)) > 1:
            _log.warning("%s: ratios share out a limit, and there is none: all rows", setting)
        return list(sizes)
    total = sum(ratios)
    wanted = [int(limit * ratio / total) for ratio in ratios]
    taken = [min(size, count) for size, count in zip(sizes, wanted, strict=True)]
    for index, (size, count) in enumerate(zip(sizes, wanted, strict=True)):
        if len(sizes) > 1:
            less = f" (its share of {limit} is {count})" if size < count else ""
            _log.info("%s[%d]: %d of %d rows%s", setting, index, min(size, count), size, less)
    return taken
