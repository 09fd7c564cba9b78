"""Runs of one experiment have one label, whichever version made them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from config.schema import TrainRLConfig
from utils.report.runs import experiment, labels
from utils.runs.read import Run


def run(name: str, **settings: Any) -> Run:
    config = asdict(TrainRLConfig())
    config["generation"] |= settings
    return Run(folder=Path(name), name=name, config=config)


def test_a_setting_that_a_run_did_not_know_counts_as_its_default() -> None:
    new, old = run("new"), run("old")
    for key in ("gain", "hide_tutor", "rewards", "peers"):
        del old.config["generation"][key]
    assert experiment(old) == experiment(new)
    hard = run("hard", gain="normalised")
    assert labels([old, hard]) != labels([old, old])
    assert "gain" in labels([old, hard])[1]
