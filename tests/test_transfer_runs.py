"""The transfer test in whole runs of the toy in one process: killed, gone on with, evaluated."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.killed_runs import SLOW, killed_and_whole
from tests.train_runs import run
from utils.gains import normalised_gain, solve_rate
from utils.records import load_run
from utils.runs.folder import read_metrics

HIDDEN = ("engines.backend=transformers", "generation.gain=normalised", "run_name=run")
TRAINED = (
    "--config-name=toy",
    "generation.gain=normalised",
    "generation.post_test=transfer",
    "train.best_metric=gain_transfer",
)
pytestmark = SLOW


def test_killed_and_gone_on_with(tmp_path: Path) -> None:
    """It ends with the weights and the record of a run never killed."""
    folder, said = killed_and_whole(tmp_path, *TRAINED)
    assert "another problem, after" in said
    for record in load_run(folder):
        other = record.transfer
        assert other is not None and other.tutor_hidden and not record.solutions
        assert other.problem != record.problem and len(other.initial_solutions) == 2
        before, after = solve_rate(other.initial_solutions), solve_rate(other.solutions)
        assert before is not None and after is not None
        assert record.rewards["solve"] == pytest.approx(normalised_gain(before, after))
    curve = [row for row in read_metrics(folder) if "classroom/gain_transfer" in row]
    assert len(curve) == 3
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["solve_transfer"]["n"] == 3 and metrics["turns_hidden"]["mean"] > 0.4


def test_an_evaluation_asks_about_both(tmp_path: Path) -> None:
    arguments = [
        sys.executable, "eval.py", "--config-name=toy", *HIDDEN, "generation.post_test=both",
        "dataset.max_val_examples=4", "num_samples_per_problem=2",
        "generation.number_student_attempts=2", f"logging.save_dir={tmp_path}",
    ]  # fmt: skip
    said = run(arguments, timeout=600)
    assert "transfer_gap" in said
    records = load_run(tmp_path / "run")
    assert len(records) == 8
    for record in records:
        assert record.transfer is not None and record.transfer.solutions and record.solutions
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["solve_same"]["mean"] == metrics["solve_after"]["mean"]
    gap = metrics["gain_same"]["mean"] - metrics["gain_transfer"]["mean"]
    assert metrics["transfer_gap"]["mean"] == pytest.approx(gap)
    assert metrics["transfer_gap"]["clusters"] == 4
