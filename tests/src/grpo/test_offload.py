"""The trainer's state out of the way of a rollout and back: DeepSpeed's own calls, on CPU ranks."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.src.grpo.test_trainer import update
from tests.tiny import save_tiny_model

STEPS = "max_steps=4"  # two rollouts: before the second the optimizer has a state
EVERYTHING = ["contiguous_grad_buffer", "hp_params", "lp_grads", "lp_params", "optim_states"]


def run(model: Path, out: Path, *settings: str, config: str) -> tuple[Any, Any, Any]:
    losses = update(model, out, STEPS, *settings, ranks=2, micro=2, config=config)
    state = json.loads((out / "state.json").read_text())
    return losses, state, load_file(out / "weights.safetensors")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("config", "optimizer", "moved"),
    [
        ("zero3_cpu", "adamw_torch", ["contiguous_grad_buffer", "lp_grads", "lp_params"]),
        ("zero3_cpu", "fused_adam", EVERYTHING),
        ("zero2_cpu", "adamw_torch", [s for s in EVERYTHING if s != "contiguous_grad_buffer"]),
    ],
)
def test_the_updates_are_the_same(
    model: Path, tmp_path: Path, config: str, optimizer: str, moved: list[str]
) -> None:
    """Bit for bit, and what a checkpoint would hold of the optimizer is the same too."""
    typed = f"optimizer={optimizer}"
    losses, state, weights = run(model, tmp_path / "stays", typed, config=config)
    offload = "offload_during_rollouts=true"
    same, other, again = run(model, tmp_path / "moves", typed, offload, config=config)
    assert state["moved"] == [[], []] and other["moved"] == [moved, moved]
    assert same == losses and len(losses) == 4
    assert state["optimizer"] == other["optimizer"]
    assert weights.keys() == again.keys()
    assert all(weights[name].equal(again[name]) for name in weights)


def test_the_calls_are_deepspeeds() -> None:
    from deepspeed import DeepSpeedEngine
    from deepspeed.runtime.zero.offload_config import OffloadStateTypeEnum

    given = inspect.signature(DeepSpeedEngine.offload_states).parameters
    assert {"include", "device", "pin_memory", "non_blocking"} <= given.keys()
    assert given["device"].default.value == "cpu"
    assert given["pin_memory"].default is True and given["non_blocking"].default is False
    assert all(p.default is not p.empty for n, p in given.items() if n != "self")
    back = inspect.signature(DeepSpeedEngine.reload_states).parameters
    assert all(p.default is not p.empty for n, p in back.items() if n != "self")
    assert sorted(state.value for state in OffloadStateTypeEnum) == sorted(EVERYTHING)
