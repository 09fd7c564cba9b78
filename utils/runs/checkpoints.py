"""The checkpoints of a run: the newest whole one, and who may go on from it."""

from __future__ import annotations

import json
from pathlib import Path

from config.errors import ConfigError


def last_checkpoint(folder: Path) -> Path | None:
    """A run's newest checkpoint that was written to its end (the trainer's state comes last)."""
    states = (folder / "checkpoints").glob("checkpoint-*/trainer_state.json")
    whole = [path.parent for path in states if _is_json(path)]
    return max(whole, key=lambda p: int(p.name.rpartition("-")[2]), default=None)


def refuse_other_ranks(folder: Path, ranks: int) -> None:
    """Raises ConfigError where a run would go on with another number of ranks than it had.

    Each rank keeps its own share of the optimizer's state, and its own random numbers.
    """
    checkpoint = last_checkpoint(folder)
    had = len(list(checkpoint.glob("rng_state*.pth"))) if checkpoint else 0
    if had and had != ranks:
        raise ConfigError(
            f"--num_processes: {folder} was trained by {had} ranks and cannot go on with {ranks}; "
            "start it with as many, or give this run another run_name"
        )


def _is_json(path: Path) -> bool:
    """Whether a file was written to its end: a full disk cuts the last one too."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
