"""Small runs of the toy in one process: one killed and gone on with, beside one never killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.train_runs import kill_after_checkpoint, run
from utils.records import check, load_run

SMALL = (
    "engines.backend=transformers",
    "run_name=run",
    "train.number_of_problems_per_batch=2",
    "train.num_samples_per_problem=4",
    "train.per_device_train_batch_size=8",
    "train.max_steps=3",
    "train.mu=1",
    "train.eval_steps=3",
    "dataset.max_val_examples=3",
    "logging.save_steps=1",
    "generation.number_student_attempts=2",
    "generation.number_initial_attempts=2",
    # answers that are computed together differ in the last bits from answers computed alone
    "teacher_model.vllm.max_num_seqs=1",
    "student_model.vllm.max_num_seqs=1",
)
SLOW = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (ROOT / "toy/checkpoints/tutor").exists(), reason="no toy is built"),
]


def killed_and_whole(runs: Path, *settings: str) -> tuple[Path, str]:
    """The folder of the killed run, and what the other one printed.

    Both have the same weights and the same record, but for seconds, or the test fails.
    """
    folder, whole = (runs / name / "run" for name in ("killed", "whole"))

    def command(parent: Path) -> list[str]:
        where = f"logging.save_dir={parent}"
        return [sys.executable, "train_rl.py", *settings, *SMALL, where]

    kill_after_checkpoint(command(folder.parent), folder, step=1)
    assert "goes on from" in run(command(folder.parent), timeout=800)
    said = run(command(whole.parent), timeout=800)
    assert check(folder / "conversations.jsonl") == []
    found, expected = (
        [r.model_dump(exclude={"timing"}) for r in sorted(load_run(f), key=lambda r: r.key)]
        for f in (folder, whole)
    )
    assert found == expected and len(found) == 3 * 8 + 2 * 3
    weights, others = (load_file(f / "model" / "model.safetensors") for f in (folder, whole))
    assert all(weights[name].equal(others[name]) for name in others)
    return folder, said
