"""The sweep over kinds of credit: its settings, and when a mark is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.credit_sweep import KINDS, TURNS, conversations_until
from config.schema import TrainRLConfig
from tests.synthetic import record
from utils.runs.read import Run
from utils.settings.hydra_entry import load_config


def run_of(*rewards: float | None) -> Run:
    """Two conversations a batch, of which the second may be left out."""
    rows = []
    for step, reward in enumerate(rewards):
        for sample in range(2):
            row = record(sample, samples=2, step=step, split="train")
            given = {} if reward is None and sample else {"total": reward or 0.0}
            rows.append(row.model_copy(update={"rewards": given}))
    return Run(folder=Path("x"), name="x", records=rows)


def test_until_three_batches_in_a_row_are_good_enough() -> None:
    assert conversations_until(run_of(0.1, 1.0, 0.2, 0.9, 0.95, 0.9, 0.1)) == 12
    assert conversations_until(run_of(0.1, 0.5, 0.8)) is None
    assert conversations_until(run_of(1.0, 1.0)) is None
    assert conversations_until(run_of(0.9, None, 0.9, 0.9), mark=0.6) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_setting_that_is_accepted(kind: str) -> None:
    cfg = load_config("config/train_rl", TrainRLConfig, "toy",
                      [*KINDS[kind], f"generation.max_turns={TURNS[1]}"])  # fmt: skip
    assert (cfg.train.credit == "turn") == (kind in ("turn", "both"))
    assert (cfg.train.advantages == "per_reward") == (kind in ("per_reward", "both"))
