"""Does training work at all: a few updates of the toy classroom raise the reward, end the leaks.

What fails it: a mask on the wrong tokens, an advantage of the wrong sign or the wrong row, weights
that do not reach the sampler.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest

from utils.records import ConversationRecord, load_run

ROOT = Path(__file__).resolve().parents[1]
UPDATES, WINDOW = 24, 4
pytestmark = pytest.mark.skipif(
    not (ROOT / "toy" / "checkpoints").is_dir(),
    reason="toy/checkpoints is not there: docs/toy-classroom.md makes it",
)
SETTINGS = (
    "engines.backend=transformers",
    "generation.extra_penalty_for_rejected_judges=0.75",
    "generation.number_initial_attempts=0",
    "train.learning_rate=1e-3",
    f"train.max_steps={UPDATES}",
    "seed=1",
)


def train(folder: Path) -> list[ConversationRecord]:
    """The conversations of one short run, from the command that a user types."""
    command = [
        sys.executable, "train_rl.py", "--config-name=toy", f"logging.save_dir={folder}",
        "run_name=learns", *SETTINGS,
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, timeout=800)
    return load_run(folder / "learns")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_reward_rises_and_leaks_fall(tmp_path: Path) -> None:
    records = train(tmp_path)
    steps = sorted({r.step for r in records})
    assert len(steps) == UPDATES

    def mean(values: list[int], what: str) -> float:
        chosen = [r for r in records if r.step in values]
        if what == "leak":
            return fmean(r.verdicts["does_not_leak_answer"][0].decision == "REJECT" for r in chosen)
        return fmean(r.rewards["total"] for r in chosen)

    first, last = steps[:WINDOW], steps[-WINDOW:]
    assert mean(first, "leak") > 0.3
    assert mean(last, "leak") < 0.5 * mean(first, "leak")
    assert mean(last, "reward") > mean(first, "reward") + 0.15
