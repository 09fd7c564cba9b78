"""A run goes on with as many ranks as it had."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from utils.runs.checkpoints import last_checkpoint, refuse_other_ranks


def checkpoint(folder: Path, step: int, *states: str) -> Path:
    made = folder / "checkpoints" / f"checkpoint-{step}"
    made.mkdir(parents=True)
    for state in states:
        (made / state).touch()
    (made / "trainer_state.json").write_text("{}")
    return made


def test_the_number_of_ranks_is_kept(tmp_path: Path) -> None:
    refuse_other_ranks(tmp_path, 4)  # nothing was saved: any number begins
    checkpoint(tmp_path, 2, "rng_state.pth")
    refuse_other_ranks(tmp_path, 1)
    made = checkpoint(tmp_path, 10, "rng_state_0.pth", "rng_state_1.pth")
    assert last_checkpoint(tmp_path) == made
    refuse_other_ranks(tmp_path, 2)
    for ranks in (1, 4):
        with pytest.raises(ConfigError, match="^--num_processes: .* by 2 ranks") as refusal:
            refuse_other_ranks(tmp_path, ranks)
        assert "\n" not in str(refusal.value)


def test_a_torn_checkpoint_does_not_count(tmp_path: Path) -> None:
    made = checkpoint(tmp_path, 2, "rng_state.pth")
    (checkpoint(tmp_path, 4) / "trainer_state.json").write_text("{")
    assert last_checkpoint(tmp_path) == made
