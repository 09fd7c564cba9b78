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


def sample_seeds(seed: int, n: int) -> list[int]:
    """Seeds of n samples of one prompt, in [0, 2**31): one after the other.

    vLLM counts them like this for a request of n samples (its `ParentRequest`), so that each sample
    can also be asked for by itself.
    """
    first = keyed_seed(seed, 0) % (2**31 - n + 1)
    return list(range(first, first + n))


def keyed_rng(*keys: object) -> random.Random:
    """A private generator for one address."""
    return random.Random(keyed_seed(*keys))


def keyed_choice(options: Sequence[T], *keys: object) -> T:
    """One of the options, uniformly, by address."""
    return keyed_rng(*keys).choice(options)
