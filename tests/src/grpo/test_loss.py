"""The trainer's loss and gradients are those of the paper's equations, however a batch is cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import trl.trainer.grpo_trainer as trl_grpo
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from src.grpo.trainer import ClassroomGRPOTrainer
from tests.src.grpo.paper_loss import logps, loss
from tests.src.grpo.sgd_update import RATE, Steps, Weights, conversations, run
from tests.tiny import save_tiny_model

ROOT = Path(__file__).resolve().parents[3]
LOSS, GRADIENT = 1e-6, 1e-5  # of 1 and of each parameter's norm


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), tied=False)


def apart(
    model: Path,
    weights: Sequence[Weights],
    gradients: Sequence[Weights],
    losses: Sequence[float],
    *,
    beta: float = 0.1,
    epsilon: float = 0.1,
    corrected: bool = True,
) -> tuple[float, float, list[float]]:
    """The largest difference of a step's loss, of a gradient in its norm; clipped shares.

    `weights`: before each step; those of the first are what was sampled from.
    """
    ours = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    records = conversations()
    with torch.no_grad():
        before = logps(ours, records)
    by_loss = by_gradient = 0.0
    shares = []
    for step, found in enumerate(losses):
        ours.load_state_dict(weights[step])
        ours.zero_grad()
        now = logps(ours, records)
        expected, clipped = loss(
            now, before, before, records, beta=beta, epsilon=epsilon, corrected=corrected
        )
        expected.backward()
        shares.append(clipped)
        by_loss = max(by_loss, abs(expected.item() - found))
        for name, parameter in ours.named_parameters():
            assert parameter.grad is not None and parameter.grad.norm() > 0
            difference = (gradients[step][name] - parameter.grad).norm()
            by_gradient = max(by_gradient, float(difference / parameter.grad.norm()))
    return by_loss, by_gradient, shares


def of(steps: Steps, model: Path, **settings: Any) -> tuple[float, float, list[float]]:
    losses = [row["loss"] for row in steps.logs]
    return apart(model, steps.weights, steps.gradients, losses, **settings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"beta": 0.0},
        {"importance_sampling": "none"},
        {"padding_free": False},
        {"per_device_train_batch_size": 8, "batch_size_ref_model": 3},
        {"per_device_train_batch_size": 1, "gradient_checkpointing": True},
    ],
    ids=["packed", "no KL", "no correction", "padded", "one micro-batch", "eight"],
)
def test_loss_and_gradients_are_the_papers(
    model: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Both of mu = 2 steps; in the second, ratios have left the bounds."""
    steps = run(str(model), tmp_path, **changes)
    assert len(steps.logs) == 2
    by_loss, by_gradient, (first, second) = of(
        steps,
        model,
        beta=changes.get("beta", 0.1),
        corrected=changes.get("importance_sampling") != "none",
    )
    print(f"loss {by_loss:.1e}, gradients {by_gradient:.1e}, clipped {second:.2f}")
    assert first == 0 and 0.05 < second < 0.95
    assert by_loss < LOSS and by_gradient < GRADIENT


def _kl_with_the_ratio(trainer: ClassroomGRPOTrainer, patch: pytest.MonkeyPatch) -> None:
    trainer.args.use_bias_correction_kl = True


def _mask_one_to_the_right(trainer: ClassroomGRPOTrainer, patch: pytest.MonkeyPatch) -> None:
    held = trainer._rollout.run_batch

    def shifted(*arguments: Any) -> Any:
        records = held(*arguments)
        for record in records:
            row = record.trajectory
            row.mask = [0, *row.mask[:-1]]
            row.logprobs = [-6.0 if m else None for m in row.mask]
        return records

    trainer._rollout.run_batch = shifted


def _spread_of_all(trainer: ClassroomGRPOTrainer, patch: pytest.MonkeyPatch) -> None:
    spread = trl_grpo.nanstd

    def of_all(values: torch.Tensor, dim: int | None = None, **more: Any) -> torch.Tensor:
        n = (~values.isnan()).sum() if dim is None else (~values.isnan()).sum(dim)
        return spread(values, dim=dim, **more) * ((n - 1) / n).sqrt()

    patch.setattr(trl_grpo, "nanstd", of_all)


@pytest.mark.parametrize(
    "change",
    [_kl_with_the_ratio, _mask_one_to_the_right, _spread_of_all],
    ids=["KL times ratio", "mask shifted by one", "std with n below"],
)
def test_another_loss_is_noticed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """The comparison above is no formality."""
    steps = run(str(model), tmp_path, lambda trainer: change(trainer, monkeypatch))
    by_loss, by_gradient, _ = of(steps, model)
    print(f"loss {by_loss:.1e}, gradients {by_gradient:.1e}")
    assert by_gradient > 100 * GRADIENT
    assert by_loss > 100 * LOSS


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2_cpu", "zero3_cpu"])
def test_two_ranks_take_the_papers_steps(model: Path, tmp_path: Path, stage: str) -> None:
    """Under DeepSpeed, packed, two micro-batches a rank, with gradient checkpointing."""
    flags = ["--config_file", f"config/deepspeed/{stage}.yaml", "--main_process_port", "0"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags]
    command += ["tests/src/grpo/sgd_update.py", str(model), str(tmp_path)]
    variables = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    done = subprocess.run(
        [*command, "gradient_checkpointing=true"],
        cwd=ROOT,
        env=os.environ | variables | {"TRL_EXPERIMENTAL_SILENCE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    weights = [load_file(tmp_path / f"{at}.safetensors") for at in range(3)]
    taken = [
        {name: (before[name] - after[name]) / RATE for name in before}
        for before, after in pairwise(weights)
    ]
    losses = [row["loss"] for row in json.loads((tmp_path / "logs.json").read_text())]
    by_loss, by_gradient, (_, clipped) = apart(model, weights, taken, losses)
    print(f"{stage}: loss {by_loss:.1e}, gradients {by_gradient:.1e}, clipped {clipped:.2f}")
    assert by_loss < LOSS and by_gradient < GRADIENT
