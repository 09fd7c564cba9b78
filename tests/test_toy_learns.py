"""Does training work at all: a few updates of the toy classroom raise the reward, end the leaks.

And the proof that this test can fail: with the mask, the advantage or the weights' way to the
sampler broken on purpose, it does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest

from tests.broken_training import FAULTS
from utils.records import ConversationRecord, load_run

ROOT = Path(__file__).resolve().parents[1]
UPDATES, WINDOW = 24, 4
SETTINGS = (
    "engines.backend=transformers",
    "generation.extra_penalty_for_rejected_judges=0.75",
    "generation.number_initial_attempts=0",
    "train.learning_rate=1e-3",
    f"train.max_steps={UPDATES}",
    "train.eval_steps=0",
    "seed=1",
)


def train(folder: Path, fault: str) -> list[ConversationRecord]:
    """The conversations of one short run, from the command that a user types."""
    command = [
        *(sys.executable, "-m", "tests.broken_training", fault, "--config-name=toy"),
        *(f"logging.save_dir={folder}", "run_name=learns", *SETTINGS),
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=800)
    return load_run(folder / "learns")


def has_learnt(records: list[ConversationRecord]) -> bool:
    """Whether the last updates leak less than half as often as the first, and earn more."""
    steps = sorted({r.step for r in records})
    assert len(steps) == UPDATES
    first = [r for r in records if r.step in steps[:WINDOW]]
    last = [r for r in records if r.step in steps[-WINDOW:]]
    leaks = [
        fmean(r.verdicts["does_not_leak_answer"][0].decision == "REJECT" for r in batch)
        for batch in (first, last)
    ]
    rewards = [fmean(r.rewards["total"] for r in batch) for batch in (first, last)]
    print(f"leak {leaks[0]:.3f} -> {leaks[1]:.3f}, reward {rewards[0]:.3f} -> {rewards[1]:.3f}")
    assert leaks[0] > 0.3  # there was something to learn
    return leaks[1] < 0.5 * leaks[0] and rewards[1] > rewards[0] + 0.15


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
def test_reward_rises_and_leaks_fall_unless_something_is_broken(
    fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert has_learnt(train(tmp_path, fault)) == (fault == "none")
