"""T3's parts: a ZeRO-3 checkpoint, and what gradients are summed in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu import training as t
from benchmarks.gpu.found import Found
from benchmarks.gpu.gradients import distance, sampled
from benchmarks.gpu.models import model_folder
from benchmarks.gpu.rows import made_up
from src.memory_plan.shapes import model_shape


def resume(found: Found, work: Path, dry: bool) -> None:
    """T3: a ZeRO-3 checkpoint, and the same losses after going on from it."""
    folder = model_folder("qwen2.5-0.5b", work, dry)
    rows = made_up(
        [512 if not dry else 100] * 8, model_shape(str(folder), "teacher_model").vocabulary
    )
    t.use_deepspeed(3, work)
    cfg = t.settings(len(rows), 4, 1024, max_steps=2, learning_rate=1e-7)
    cfg.logging.save_steps = 1
    with tempfile.TemporaryDirectory(dir=work) as out:
        whole = t.train(t.build(cfg, folder, folder, rows, Path(out)))
        t.forget()
        saved = Path(out) / "checkpoints" / "checkpoint-1"
        files = [file.stat().st_size for file in saved.rglob("*") if file.is_file()]
        again = t.train(t.build(cfg, folder, folder, rows, Path(out)), resume=str(saved))
    first, second = whole.logged[-1], again.logged[-1]
    found.found = {
        "checkpoint_gb": sum(files) / 1e9,
        "loss": [first["loss"], second["loss"]],
        "grad_norm": [first["grad_norm"], second["grad_norm"]],
        "step_s": whole.step_s,
    }
    found.expected = {"loss": "equal to 1e-4, norm of the gradient to 1 %"}
    close = abs(first["grad_norm"] / second["grad_norm"] - 1.0) < 0.01
    found.passed = close and abs(first["loss"] - second["loss"]) < 1e-4
    found.setting = "train.optimizer"


def accumulation(found: Found, work: Path, dry: bool) -> None:
    """T3: 16 micro-batches under ZeRO-3, gradients summed in bf16 and in fp32."""
    folder = model_folder("qwen2.5-0.5b", work, dry)
    rows = sampled(folder, rows=16 if not dry else 4, longest=128 if not dry else 16)
    kept: dict[str, Any] = {}
    for name, accumulate in (("bf16", "bf16"), ("fp32", "fp32")):
        if dry:
            accumulate = "fp32"  # DeepSpeed on a CPU trains in fp32
        t.use_deepspeed(3, work, accumulate)
        cfg = t.settings(len(rows), 1, 1024, gradient_checkpointing=False, learning_rate=1e-9)
        with tempfile.TemporaryDirectory(dir=work) as out:
            trainer = t.build(cfg, folder, folder, rows, Path(out))
            _keep_deepspeed_gradients(trainer, kept, name)
            seen = t.train(trainer)
        found.found[name] = {"grad_norm": seen.logged[0]["grad_norm"], "step_s": seen.step_s[0]}
        del trainer
        t.forget()
    error = distance(kept["bf16"], kept["fp32"])
    found.found |= {f"bf16_{key}": value for key, value in error.items()}
    found.expected = {"bf16_gradient_error": "at most 0.01"}
    found.passed = error["gradient_error"] <= 0.01
    found.setting = "data_types.grad_accum_dtype: fp32 in config/deepspeed"


def _keep_deepspeed_gradients(trainer: Any, kept: dict[str, Any], name: str) -> None:
    """What the optimizer is about to step on, taken just before DeepSpeed's own step."""
    prepare = trainer.accelerator.prepare

    def prepared(*arguments: Any, **more: Any) -> Any:
        from deepspeed.runtime.engine import DeepSpeedEngine
        from deepspeed.utils import safe_get_full_grad

        found = prepare(*arguments, **more)
        each = found if isinstance(found, tuple) else (found,)
        for engine in each:
            if isinstance(engine, DeepSpeedEngine) and name not in kept and engine.optimizer:
                step = engine.step

                def stepped(*a: Any, engine: Any = engine, step: Any = step, **k: Any) -> Any:
                    if name not in kept:
                        named = list(engine.module.named_parameters())
                        grads = {n: safe_get_full_grad(p) for n, p in named}
                        kept[name] = {n: g.float().cpu() for n, g in grads.items() if g is not None}
                    return step(*a, **k)

                engine.step = stepped
        return found

    trainer.accelerator.prepare = prepared
