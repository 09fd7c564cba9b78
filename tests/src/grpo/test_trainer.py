"""The trainer on real TRL, and under real ZeRO-3 on two ranks: the same loss however it is cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from config.schema import TrainSettings
from src.grpo.rollouts.prefetch import Prefetch
from tests.src.grpo.fixed_update import Collect, build, held
from tests.tiny import save_tiny_model
from utils.data.problems import Problem
from utils.records import ConversationRecord

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "tests/src/grpo/fixed_update.py"


def update(
    model: Path, out: Path, *settings: str, ranks: int, micro: int, config: str = "zero3_cpu"
) -> list[dict[str, float]]:
    out.mkdir()
    command = [sys.executable, SCRIPT, str(model), str(out), str(micro), *settings]
    if ranks:
        launch = "accelerate.commands.launch"
        flags = ["--config_file", f"config/deepspeed/{config}.yaml", "--num_processes", str(ranks)]
        command = [sys.executable, "-m", launch, *flags, "--main_process_port", "0", *command[1:]]
    environment = os.environ | {
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "WANDB_MODE": "disabled",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    rows: list[dict[str, float]] = json.loads((out / "losses.json").read_text())
    return rows


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def test_batches_held_ahead_are_those_that_come(model: Path, tmp_path: Path) -> None:
    """Over three epochs of one batch, and from a checkpoint: the loss is that of rows held when
    they are wanted, and each batch has the step, epoch and order that it would have had."""

    def losses(
        folder: str, prefetch: Prefetch | None, checkpoint: Path | None = None
    ) -> list[float]:
        collect = Collect()
        settings = TrainSettings(per_device_train_batch_size=4, max_steps=6, mu=2)
        settings.gradient_checkpointing, settings.learning_rate = False, 1e-3
        trainer = build(
            str(model), tmp_path / folder, settings, callbacks=(collect,), prefetch=prefetch
        )
        trainer.args.save_steps, trainer.args.save_total_limit = 2, None
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        return [row["loss"] for row in collect.rows]

    begun: list[tuple[int, int, list[str]]] = []

    def begin(
        problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> Future[list[ConversationRecord]]:
        begun.append((step, epoch, [problem.id for problem in problems]))
        done: Future[list[ConversationRecord]] = Future()
        done.set_result(held(problems, samples, step, epoch))
        return done

    expected = losses("plain", None)
    assert losses("ahead", Prefetch(begin)) == expected and len(expected) == 6
    (*first, order), (*second, later) = begun
    assert (first, second) == ([2, 1], [4, 2]) and order != later
    begun.clear()
    losses("again", Prefetch(begin), tmp_path / "ahead" / "checkpoints" / "checkpoint-2")
    assert begun == [(4, 2, later)]


@pytest.mark.timeout(600)  # a first start of DeepSpeed compiles, for minutes beside other jobs
def test_the_loss_depends_on_neither_ranks_nor_packing(model: Path, tmp_path: Path) -> None:
    """ZeRO-3 on two ranks, packed and with gradient checkpointing, and TRL's padded batches in one
    process without DeepSpeed, to 1e-4 (fp32, other orders of summation); the second row is the
    second of mu = 2 steps, so its loss depends on the first step's weights."""
    one = update(model, tmp_path / "one", "padding_free=false", ranks=0, micro=4)
    two = update(model, tmp_path / "two", "gradient_checkpointing=true", ranks=2, micro=2)
    assert len(one) == len(two) == 2
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "grad_norm"):
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-5), name
    assert one[0]["loss"] != one[1]["loss"]
