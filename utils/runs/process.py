"""What a process that trains on a CPU sets for itself, before torch is loaded."""

from __future__ import annotations

import ctypes
import os
from collections.abc import MutableMapping

SPINS = "10000"  # turns of a barrier's loop before its thread sleeps, some tens of microseconds
MMAP_THRESHOLD, LARGE = -3, 1 << 20  # mallopt's number of the option; bytes
_MALLOC = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def short_barriers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep soon at a barrier, in the one process of a run.

    Another job on the cores else costs a hundredfold: the thread that is waited for cannot run,
    because those that wait for it spin.  Ranks keep libgomp's own way: they share no cores.  What
    the user has set stays.  libgomp reads it once, as torch is loaded.
    """
    if "WORLD_SIZE" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)


def return_large_blocks(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have freed memory of a MiB or more go back to the system at once.

    glibc else raises that limit to 32 MiB as it goes, and keeps what lies below: some GiB between
    updates.  Nothing happens where the user tunes malloc, or the C library has no such option.
    """
    if not any(name in environment for name in _MALLOC):
        option = getattr(ctypes.CDLL(None), "mallopt", None)
        if option is not None:
            option(MMAP_THRESHOLD, LARGE)
