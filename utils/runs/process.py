"""What a process of a run sets for itself, before and while torch is loaded."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator, MutableMapping

SPINS = "10000"  # turns of a barrier's loop before its thread sleeps, some tens of microseconds


def short_barriers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep soon at a barrier, in the one process of a run.

    Another job on the cores else costs a hundredfold: the thread that is waited for cannot run,
    because those that wait for it spin.  Ranks keep libgomp's own way: they share no cores.  What
    the user has set stays.  libgomp reads it once, as torch is loaded.
    """
    if "WORLD_SIZE" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Modules that are imported inside are kept: the collector looks for no garbage meanwhile, and
    never among what is there at the end.

    Its passes over a heap that only grows are a sixth of the time in which torch, transformers and
    TRL are imported, and later ones over what they left a tenth of the lead's in a rollout.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else nanobind calls all that is kept leaked, in forty lines
        if was_on:
            gc.enable()
