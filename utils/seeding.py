"""Randomness with an address: whatever varies by problem or sample is a keyed hash of its name.

The same keys give the same value in every process, on every machine, in any order of calls;
Python's own `hash` is salted by process, and a shared generator depends on who asked before.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def keyed_seed(*keys: object) -> int:
    """A seed in [0, 2**31) that depends on the keys (their `repr`) and nothing else."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**31


def sample_seeds(seed: int, n: int, *, together: bool = False) -> list[int]:
    """Seeds of n samples of one prompt, in [0, 2**31): each by its own address.

    `together`: one after the other, as vLLM counts them for a request of n samples (its
    `ParentRequest`).  Either way each sample can be asked for by itself, and the first is the same.
    """
    seeds = [keyed_seed(seed, i) for i in range(n)]
    if not together or not seeds:
        return seeds
    first = seeds[0] % (2**31 - n + 1)
    return list(range(first, first + n))


def keyed_rng(*keys: object) -> random.Random:
    """A private generator for one address."""
    return random.Random(keyed_seed(*keys))


def keyed_choice(options: Sequence[T], *keys: object) -> T:
    """One of the options, uniformly, by address."""
    return keyed_rng(*keys).choice(options)
