"""Old logprobs from the first loss pass: bit for bit what a pass of their own would give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file

from src.grpo.rollouts.prefetch import Prefetch
from tests.src.grpo import fixed_update
from tests.src.grpo.sgd_update import Steps, Weights, run
from tests.tiny import save_tiny_model
from utils.data.problems import Problem
from utils.records import ConversationRecord

ROOT = Path(__file__).resolve().parents[4]
SAMPLER = (
    "sampling_logp_difference/mean", "sampling_logp_difference/max",
    "importance_sampling_ratio/min", "importance_sampling_ratio/mean",
    "importance_sampling_ratio/max",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("model"), tied=False))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """How threads share a sum may differ from call to call on a busy machine, and its bits too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plain(logs: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """What was logged, without the time that it took."""
    return [{k: v for k, v in row.items() if k != "step_time"} for row in logs]


def same(
    ours: Sequence[Weights],
    theirs: Sequence[Weights],
    our_logs: Sequence[dict[str, float]],
    their_logs: Sequence[dict[str, float]],
) -> None:
    assert plain(our_logs) == plain(their_logs) and len(our_logs) == len(ours) - 1
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(ours[0][name], ours[-1][name]) for name in ours[0])


def passes(trainer: Any) -> list[bool]:
    """Of each pass over tokens from now on, whether it is made for a gradient."""
    seen: list[bool] = []
    logps = trainer._get_per_token_logps_and_entropies

    def watched(*arguments: Any, **more: Any) -> Any:
        seen.append(torch.is_grad_enabled())
        return logps(*arguments, **more)

    trainer._get_per_token_logps_and_entropies = watched
    return seen


def begin(
    problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
) -> Future[list[ConversationRecord]]:
    done: Future[list[ConversationRecord]] = Future()
    done.set_result(fixed_update.held(problems, samples, step, epoch))
    return done


def lora() -> dict[str, Any]:
    return {"peft_config": LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, dict),
        ({"mu": 1}, dict),
        ({"beta": 0.0}, dict),
        ({"beta": 0.0, "mu": 1, "importance_sampling": "none"}, dict),
        ({"importance_sampling": "none"}, dict),
        ({"importance_sampling": "token_mask"}, dict),
        ({"per_device_train_batch_size": 8, "batch_size_ref_model": 8}, dict),
        (
            {
                "per_device_train_batch_size": 1,
                "batch_size_ref_model": 1,
                "gradient_checkpointing": True,
            },
            dict,
        ),
        ({"padding_free": False}, dict),
        ({}, lora),
        ({"max_steps": 6}, lambda: {"prefetch": Prefetch(begin)}),
    ],
    ids=[
        "mu 2", "mu 1", "no KL", "mu 1, nothing to compare with", "no correction", "masked tokens",
        "one micro-batch", "eight", "padded", "adapters", "overlap",
    ],
)  # fmt: skip
def test_a_pass_less_changes_no_bit(
    model: str, tmp_path: Path, changes: dict[str, Any], more: Any
) -> None:
    """Losses, all that is logged, gradients and weights after several steps.

    Both passes take as many rows at a time: a matrix of another height may round otherwise.
    """
    found: dict[bool, Steps] = {}
    counted: dict[bool, list[bool]] = {}
    for separate in (False, True):
        seen: list[list[bool]] = []
        found[separate] = run(
            model,
            tmp_path / str(separate),
            lambda trainer, seen=seen: seen.append(passes(trainer)),
            more(),
            **({"max_steps": 4, "batch_size_ref_model": 2} | changes),
            separate_old_pass=separate,
        )
        counted[separate] = seen[0]
    ours, theirs = found[False], found[True]
    same(ours.weights, theirs.weights, ours.logs, theirs.logs)
    for one, other in zip(ours.gradients, theirs.gradients, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    with_gradient = [sum(each) for each in (counted[False], counted[True])]
    assert with_gradient[0] == with_gradient[1] > 0
    mu = changes.get("mu", 2)
    batches = changes.get("max_steps", 4) // mu
    corrected = changes.get("importance_sampling") != "none"
    without = [len(each) - sum(each) for each in (counted[False], counted[True])]
    reference = batches * bool(changes.get("beta", 0.1))
    assert without == [reference, reference + batches * (corrected or mu > 1)]
    logged = [f"sampling/{name}" in ours.logs[0] for name in SAMPLER]
    assert logged == [corrected] * len(SAMPLER)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.1, 0.0])
def test_on_two_ranks(model: str, tmp_path: Path, beta: float) -> None:
    """Under ZeRO-3, packed, with accumulation and gradient checkpointing."""
    flags = ["--config_file", "config/deepspeed/zero3_cpu.yaml", "--main_process_port", "0"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags]
    variables = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    found = []
    for separate in ("false", "true"):
        out = tmp_path / separate
        out.mkdir()
        settings = [f"beta={beta}", "max_steps=4", "gradient_checkpointing=true"]
        settings += ["batch_size_ref_model=2", f"separate_old_pass={separate}"]
        done = subprocess.run(
            [*command, "tests/src/grpo/sgd_update.py", model, str(out), *settings],
            cwd=ROOT,
            env=os.environ | variables | {"TRL_EXPERIMENTAL_SILENCE": "1"},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        weights = [load_file(out / f"{at}.safetensors") for at in range(5)]
        found.append((weights, json.loads((out / "logs.json").read_text())))
    (ours, our_logs), (theirs, their_logs) = found
    same(ours, theirs, our_logs, their_logs)
