"""train_rl.py brought to a stop, by a kill, a signal or a full disk, and gone on with."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.train_runs import (
    COIN,
    EVALUATES,
    check_record,
    environment,
    held_out,
    kill_when,
    model,
    python,
    run,
)
from utils.records import load_run
from utils.runs.folder import read_metrics

__all__ = ["model"]  # the fixture


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_killed_at_random_points_and_started_again(model: Path, tmp_path: Path) -> None:
    """In conversations, updates, evaluations or checkpoints, wherever the two kills fall: it goes
    on, says so, and ends with the weights and the record of a run never killed."""
    from safetensors.torch import load_file

    seed = int(os.environ.get("KILL_SEED", time.time_ns() % 100_000))
    chance = random.Random(seed)
    # how long the record is when a batch begins, and when its update does
    phases = [(3, "batch"), (11, "update"), (14, "batch"), (22, "update"), (25, "batch"),
              (33, "update")]  # fmt: skip
    first = chance.randrange(3)
    picked = (phases[first], chance.choice(phases[first + 3 :]))
    kills = [(*phase, chance.uniform(0.0, 0.6)) for phase in picked]
    print(f"KILL_SEED={seed}:", *(f"{s:.2f} s into the {w} after {n}" for n, w, s in kills))
    # answers that are computed together differ in the last bits from answers computed alone
    alone = [f"{role}_model.vllm.max_num_seqs=1" for role in ("teacher", "student")]
    steps = ("train.max_steps=6", *EVALUATES, COIN, *alone)
    folder = tmp_path / "killed" / "run"
    arguments = python(model, tmp_path / "killed", *steps)

    def kill(number: int) -> None:
        length, _, pause = kills[number]

        def due() -> bool:
            if found := _lines(folder / "conversations.jsonl") == length:
                time.sleep(pause)
            return found

        kill_when(arguments, folder, due)

    kill(0)
    changed = run(python(model, tmp_path / "killed", *steps, "train.max_steps=8"), code=2)
    assert "train.max_steps: 6 -> 8" in changed
    kill(1)
    assert "goes on from" in run(arguments)
    run(python(model, tmp_path / "whole", *steps))
    whole = tmp_path / "whole" / "run"
    check_record(folder, model, 3 * 2 * 4 + 4 * 3)
    assert list(held_out(folder)) == [0, 2, 4, 6]
    said, expected_said = (
        [r.model_dump(exclude={"timing"}) for r in sorted(load_run(f), key=lambda r: r.key)]
        for f in (folder, whole)
    )
    assert said == expected_said
    weights, expected = (load_file(f / "model" / "model.safetensors") for f in (folder, whole))
    assert all(weights[name].equal(expected[name]) for name in expected)
    again = run(python(model, tmp_path / "killed", *steps))
    assert "run-2" in again, "a finished run makes the next start another one"


@pytest.mark.slow
def test_a_scheduler_s_signal_saves_what_was_trained(model: Path, tmp_path: Path) -> None:
    """SIGTERM in the middle: the batch at hand is finished and saved, and the run can go on."""
    folder = tmp_path / "run"
    arguments = python(model, tmp_path, "train.max_steps=6", "logging.save_steps=100")
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 250
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said[-3000:]
    assert "stopping after this batch" in said
    (checkpoint,) = (folder / "checkpoints").glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert step in (2, 4) and max(row["step"] for row in read_metrics(folder)) == step
    said = run(arguments)
    assert f"goes on from checkpoint of step {step}" in said
    check_record(folder, model, 3 * 2 * 4)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, which can be made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_nothing_torn(model: Path, small_disk: Path) -> None:
    """The second checkpoint finds no room; with more room the run goes on from the first, which
    was not to go before the second was whole."""
    steps = ("train.max_steps=6", "logging.save_total_limit=1")
    said = run(python(model, small_disk, *steps), code=1)
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and errors[0].startswith("error: logging.save_dir: no room left"), said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    said = run(python(model, small_disk, *steps))
    assert "goes on from checkpoint of step 2" in said
    check_record(small_disk / "run", model, 3 * 2 * 4)
