"""Gradients of bfloat16 micro-batches under DeepSpeed are summed in float32."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.tiny import save_tiny_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", ["zero2_cpu", "zero3_cpu"])
def test_sums_are_float32(tmp_path: Path, stage: str) -> None:
    """Two ranks; what sums in bfloat16, DeepSpeed's own way, would be off by is printed."""
    model = str(save_tiny_model(tmp_path / "model", tied=False))
    flags = ["--config_file", f"config/deepspeed/{stage}.yaml", "--mixed_precision", "bf16"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags]
    command += ["--main_process_port", "0", "tests/src/grpo/bf16_update.py", model, str(tmp_path)]
    variables = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    for dtype in ("fp32", "bf16"):
        done = subprocess.run(
            [*command, dtype],
            cwd=ROOT,
            env=os.environ | variables | {"TRL_EXPERIMENTAL_SILENCE": "1"},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    ours, theirs = (json.loads((tmp_path / f"{d}.json").read_text()) for d in ("fp32", "bf16"))
    assert ours == {"summed in": "torch.float32", "micro-batches": 16}
    assert theirs == {"summed in": "torch.bfloat16", "micro-batches": 16}
    right, coarse = (load_file(tmp_path / f"{d}.safetensors") for d in ("fp32", "bf16"))
    apart = sum(float((right[n] - coarse[n]).square().sum()) for n in right) ** 0.5
    norm = sum(float(each.square().sum()) for each in right.values()) ** 0.5
    print(f"{stage}: sums in bfloat16 are off by {apart / norm:.2%} of the gradient's norm")
    assert 0 < apart < 0.1 * norm
