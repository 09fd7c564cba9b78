"""A user's own reward in a real run: one function outside the project, one line of settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny import save_tiny_model
from tests.train_runs import python, rollout_rows, run
from utils.records import load_run

CODE = """
def even(record, settings):
    said = "".join(m.content for m in record.messages if m.role == "teacher")
    return float(len(said) % 2 == 0)

def fails(record, settings):
    raise LookupError("no such word")
"""
ENTRY = "+generation.rewards.even={{function: 'my_rewards:{name}', weight: 0.5}}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "my_rewards.py").write_text(CODE)
    return save_tiny_model(tmp_path / "model")


def test_it_is_in_record_metrics_report_and_log(model: Path, tmp_path: Path) -> None:
    own = ["train.max_steps=2", ENTRY.format(name="even")]
    said = run(python(model, tmp_path, *own), PYTHONPATH=str(tmp_path))
    assert "reward: even" in said
    folder = tmp_path / "run"
    for record in load_run(folder):
        text = "".join(m.content for m in record.messages if m.role == "teacher")
        assert record.rewards["even"] == 0.5 * (len(text) % 2 == 0)
        parts = [value for name, value in record.rewards.items() if name != "total"]
        assert record.rewards["total"] == pytest.approx(sum(parts))
    assert all("rewards/even/mean" in row for row in rollout_rows(folder))  # W&B's columns
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["reward_even"]["n"] > 0
    assert "reward_even" in (folder / "report.html").read_text()


def test_one_that_fails_ends_the_run_in_one_line(model: Path, tmp_path: Path) -> None:
    own = ["train.max_steps=2", ENTRY.format(name="fails")]
    said = run(python(model, tmp_path, *own), code=1, PYTHONPATH=str(tmp_path))
    last = said.strip().splitlines()[-1]
    assert "generation.rewards.even: its function raised LookupError: no such word" in last
    assert "Traceback" not in said


def test_one_that_is_not_there_is_said_before_the_run(model: Path, tmp_path: Path) -> None:
    own = ["train.max_steps=2", ENTRY.format(name="odd")]
    said = run(python(model, tmp_path, *own), code=2, PYTHONPATH=str(tmp_path))
    assert "generation.rewards.even.function: my_rewards:odd: AttributeError" in said
    assert not (tmp_path / "run").exists()
