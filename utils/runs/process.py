"""What the one process of a run sets for itself, before torch is loaded."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "10000"  # turns of a barrier's loop before its thread sleeps, some tens of microseconds


def short_barriers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep soon at a barrier, in the one process of a run.

    Another job on the cores else costs a hundredfold: the thread that is waited for cannot run,
    because those that wait for it spin.  Ranks keep libgomp's own way: they share no cores.  What
    the user has set stays.  libgomp reads it once, as torch is loaded.
    """
    if "WORLD_SIZE" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)
