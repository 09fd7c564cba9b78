"""Sessions in whole runs of the toy in one process: killed, gone on with, evaluated."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.killed_runs import SLOW, killed_and_whole
from tests.train_runs import run
from utils.gains import solve_rate
from utils.records import load_run
from utils.runs.folder import read_metrics

TRAINED = ("--config-name=toy_sessions", "train.best_metric=solve_alone_3")
pytestmark = SLOW


def test_killed_in_a_session_and_gone_on_with(tmp_path: Path) -> None:
    """It ends with the weights and the record of a run never killed."""
    folder, _ = killed_and_whole(tmp_path, *TRAINED)
    for record in load_run(folder):
        assert len(record.session) == 2 and {m.problem for m in record.messages} == {0, 1}
        before, after = solve_rate(record.initial_solutions), solve_rate(record.solutions)
        assert before is not None and after is not None
        assert record.rewards["solve"] == pytest.approx(after - before)
    curve = [row for row in read_metrics(folder) if "classroom/support_tokens_2" in row]
    assert len(curve) == 3
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["solve_alone_3"]["n"] == 3 and metrics["support_tokens_1"]["mean"] > 0


def test_an_evaluation_holds_sessions(tmp_path: Path) -> None:
    arguments = [
        sys.executable, "eval.py", "--config-name=toy_sessions", "engines.backend=transformers",
        "run_name=run", "dataset.max_val_examples=4", "generation.number_student_attempts=2",
        f"logging.save_dir={tmp_path}",
    ]  # fmt: skip
    run(arguments, timeout=600)
    records = load_run(tmp_path / "run")
    assert len(records) == 4 and all(len(r.session) == 2 for r in records)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["solve_alone_3"]["mean"] == metrics["solve_after"]["mean"]
    assert metrics["fading_slope"]["clusters"] == 4
