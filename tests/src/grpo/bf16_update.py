"""One gradient step of 16 micro-batches a rank in bfloat16, and the gradient, by float32 copies.

accelerate launch --mixed_precision bf16 … tests/src/grpo/bf16_update.py MODEL OUT DTYPE

DTYPE is what DeepSpeed sums gradients in: fp32, as we have it, or bf16.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import torch
from deepspeed.utils import safe_get_full_fp32_param
from safetensors.torch import save_file

from src.grpo import arguments
from tests.src.grpo import sgd_update


def main() -> None:
    model, out, dtype = sys.argv[1:]
    make, accumulate = arguments.GRPOConfig, arguments.accumulate_in_float32

    def copies(self: sgd_update.Steps) -> None:
        assert self.trainer is not None
        bare = self.trainer.accelerator.unwrap_model(self.trainer.model)
        # collective; outside of DeepSpeed, before its first step, there are none
        found = {n: safe_get_full_fp32_param(p) for n, p in bare.named_parameters()}
        self.weights.append({n: t.clone() for n, t in found.items()})

    def in_bfloat16(trainer: Any) -> None:
        trainer.model.to(torch.bfloat16)

    with (
        patch.object(arguments, "GRPOConfig", lambda **given: make(**given | {"bf16": True})),
        patch.object(
            arguments, "accumulate_in_float32", accumulate if dtype == "fp32" else lambda _: None
        ),
        patch.multiple(sgd_update, PROBLEMS=4, SAMPLES=8),
        patch.object(sgd_update.Steps, "_take", copies),
    ):
        changes = {"max_steps": 1, "mu": 1, "per_device_train_batch_size": 1, "learning_rate": 1.0}
        steps = sgd_update.run(model, Path(out), in_bfloat16, **changes)
    assert steps.trainer is not None
    if steps.trainer.is_world_process_zero():
        before, after = steps.weights
        save_file({n: before[n] - after[n] for n in before}, Path(out) / f"{dtype}.safetensors")
        summed = str(steps.trainer.deepspeed.optimizer.gradient_accumulation_dtype)
        micro_batches = steps.trainer.args.gradient_accumulation_steps
        found = {"summed in": summed, "micro-batches": micro_batches}
        (Path(out) / f"{dtype}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
