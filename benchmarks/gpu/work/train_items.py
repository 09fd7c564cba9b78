"""T1 to T4: the trainer's gradients, speed and memory on a GPU."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu import training as t
from benchmarks.gpu.cards import Memory, card, timed
from benchmarks.gpu.found import Found
from benchmarks.gpu.gradients import distance, sampled
from benchmarks.gpu.models import model_folder, random_model, shape
from benchmarks.gpu.rows import lengths, made_up

GIB = 2**30
PACKED_ERROR = 1.2  # times the padded one's, at most
PLAN_ERROR = 0.10
_PAGED = "paged_adamw_8bit"


def gradients(found: Found, work: Path, dry: bool) -> None:
    """T1: packed bf16 and TRL's padded bf16, each against padded fp32."""
    import torch

    folder = model_folder("qwen2.5-0.5b", work, dry)
    rows = sampled(folder, rows=16 if not dry else 4, longest=256 if not dry else 24)
    half = "bfloat16"
    ways = {
        "padded_fp32": ("float32", False, False),
        "padded_bf16": (half, False, False),
        "packed_bf16": (half, True, False),
        "packed_bf16_fp32_head": (half, True, True),
    }
    reference: Any = None
    for way, (dtype, packed, fp32_head) in ways.items():
        cfg = t.settings(
            len(rows), len(rows) // 2, 2048, dtype=dtype, padding_free=packed,
            optimizer="adamw_torch", gradient_checkpointing=False, learning_rate=1e-9,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as out:
            trainer = t.build(cfg, folder, folder, rows, Path(out), fp32_head=fp32_head, clip=False)
            seen = t.train(trainer, gradients=True)
        packs = trainer._packs
        del trainer
        t.forget()
        logged = seen.logged[0]
        found.found[way] = {"loss": logged["loss"], "grad_norm": logged["grad_norm"]}
        if packed:
            found.found[way]["really_packed"] = packs
        if reference is None:
            reference = seen
            logps = seen.logps[seen.mask]
            found.found["mean_logprob_nats"] = logps.mean().item()
            continue
        error = distance(seen.gradients, reference.gradients)
        gap = (seen.logps - reference.logps)[seen.mask].abs()
        found.found[way] |= error | {
            "logprob_error_mean_nats": gap.mean().item(),
            "logprob_error_max_nats": gap.max().item(),
        }
        del seen
        torch.cuda.empty_cache() if torch.cuda.is_available() else None
    ours, theirs = (found.found[w]["gradient_error"] for w in ("packed_bf16", "padded_bf16"))
    found.expected = {"packed over padded error, at most": PACKED_ERROR}
    found.found["packed_over_padded_error"] = ours / max(theirs, 1e-12)
    found.passed = ours <= PACKED_ERROR * theirs and found.found["packed_bf16"]["really_packed"]
    found.setting = "train.padding_free=false"


def speed(found: Found, work: Path, dry: bool) -> None:
    """T2: seconds a step, tokens/s and MFU on log-normal rows, packed and padded."""
    _timed_ways(found, work, dry, {"packed": (True, _PAGED), "padded": (False, _PAGED)})
    ratio = found.found["padded"]["step_s"] / found.found["packed"]["step_s"]
    found.found["padded_over_packed"] = ratio
    found.expected = {
        "mfu, roofline's A100 and H100 figure": "0.35 to 0.40",
        "padded/packed": "> 1",
    }
    found.passed = dry or ratio > 1.0
    found.setting = "train.padding_free, train.per_device_train_batch_size"


def optimizers(found: Found, work: Path, dry: bool) -> None:
    """T2: what the optimizer takes of a packed step, paged and not, 8-bit and torch's own."""
    kept = _PAGED.removeprefix("paged_")
    ways = {name: (True, name) for name in (kept, _PAGED, "adamw_torch")}
    _timed_ways(found, work, dry, ways)
    resident, paged = (found.found[name]["step_s"] for name in list(ways)[:2])
    found.found["paged_over_resident"] = paged / resident
    found.expected = {"paged/resident": "> 1: the step's fixed part is paging"}
    found.passed = dry or paged > resident
    found.setting = "train.optimizer"


def _timed_ways(found: Found, work: Path, dry: bool, ways: dict[str, tuple[bool, str]]) -> None:
    """Each way, packed or not with its optimizer, on the same 64 rows: a first step and another."""
    folder = model_folder("qwen2.5-1.5b", work, dry)
    size = _shape_of(folder)
    rows = made_up(lengths(64, 4096) if not dry else [100] * 8, size.vocabulary)
    tokens = sum(len(r.prompt_ids) + len(r.completion_ids) for r in rows)
    memory = Memory()
    found.found["tokens"] = tokens
    for way, (packed, optimizer) in ways.items():
        cfg = t.settings(
            len(rows), 4, 4096, padding_free=packed, max_steps=2,
            optimizer=optimizer if not dry else "adamw_torch", gradient_checkpointing=True,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as out:
            trainer = t.build(cfg, folder, folder, rows, Path(out))
            seen = t.train(trainer, memory=memory)
        del trainer
        t.forget()
        seconds = min(seen.step_s[1:])
        flops = t.step_flops(cfg, size, rows, trained_share=1.0)
        found.found[way] = {
            "first_step_s": seen.step_s[0],
            "step_s": seconds,
            "optimizer_s": seen.optimizer_s[-1],
            "tokens_per_s": tokens / seconds,
            "mfu": flops / seconds / card().flops,
            "peak_so_far_gib": seen.peak,
            "loss": [row["loss"] for row in seen.logged],
        }


def memory_and_hand_over(found: Found, work: Path, dry: bool) -> None:
    """T3: ZeRO-3 on one rank, paged 8-bit Adam, KL, two rows of 8,192 tokens: against the plan."""
    from src.grpo.rollouts.weights import whole_weights
    from src.vllm.weights import open_published, publish

    folder = model_folder("qwen2.5-1.5b", work, dry)
    longest = 8192 if not dry else 128
    memory = Memory()
    rows = made_up([longest] * 4, _shape_of(folder).vocabulary)
    cfg = t.settings(len(rows), 2, longest, max_steps=2, gradient_checkpointing=True)
    cfg.teacher_model.model_name_or_path = str(folder)
    cfg.teacher_model.vllm.max_length = longest
    plan = t.planned_gib(cfg, 3)  # before ZeRO-3 changes how models are made
    t.use_deepspeed(3, work)
    with tempfile.TemporaryDirectory() as out:
        trainer = t.build(cfg, folder, folder, rows, Path(out))
        seen = t.train(trainer, memory=memory)
    _against_plan(found, plan, seen.peak, dry)
    found.found["step_s"] = seen.step_s
    found.found["loss"] = [row["loss"] for row in seen.logged]
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as where:
        for turn in (1, 2):  # the second writes beside the first, as every later one does
            weights = whole_weights(trainer.model)
            seconds, file = timed(functools.partial(publish, weights, Path(where), turn))
            size = file.stat().st_size
            found.found[f"publish_{turn}_gb_per_s"] = size / seconds / 1e9

        def check() -> None:
            with open_published(file, 2):
                pass

        found.found["digest_gb_per_s"] = size / timed(check)[0] / 1e9
        found.found["published_gb"] = size / 1e9
    found.expected["publish_gb_per_s"] = "1.5 (write and digest one after the other)"


def _against_plan(found: Found, plan: float, peak: dict[str, float], dry: bool) -> None:
    found.expected["peak_gib"] = plan
    found.found["peak_gib"] = peak
    error = peak["device"] / plan - 1.0
    found.found["peak_over_plan"] = error
    found.passed = dry or abs(error) <= PLAN_ERROR  # nothing of a tiny model is as planned
    found.setting = "src/memory_plan: what a trainer takes; train.per_device_train_batch_size"


def adapters(found: Found, work: Path, dry: bool) -> None:
    """T4: 7B with LoRA under ZeRO-2, a row of 8,192 tokens at a time."""
    tokenizer = model_folder("qwen2.5-0.5b", work, dry)
    longest = 8192 if not dry else 128
    memory = Memory()
    t.use_deepspeed(2, work)
    config = shape("qwen2.5-7b", dry)
    rows = made_up([longest] * 4, min(config.vocab_size, 151936))
    cfg = t.settings(len(rows), 1, longest, max_steps=2, gradient_checkpointing=True)
    lora = cfg.teacher_model.lora
    lora.enable = True
    cfg.teacher_model.model_name_or_path = "Qwen/Qwen2.5-7B-Instruct" if not dry else str(tokenizer)
    cfg.teacher_model.vllm.max_length = longest
    model = random_model("qwen2.5-7b", dry)
    with tempfile.TemporaryDirectory() as out:
        trainer = t.build(cfg, model, tokenizer, rows, Path(out))
        seen = t.train(trainer, memory=memory)
    size = _shape_of(tokenizer) if dry else _known("qwen2.5-7b")
    _against_plan(found, t.planned_gib(cfg, 2), seen.peak, dry)
    seconds = seen.step_s[-1]
    found.found |= {
        "lora_rank": lora.rank,
        "step_s": seen.step_s,
        "tokens_per_s": len(rows) * longest / seconds,
        "mfu": t.step_flops(cfg, size, rows, trained_share=0.5) / seconds / card().flops,
        "loss": [row["loss"] for row in seen.logged],
    }


def _shape_of(folder: Path) -> Any:
    from src.memory_plan.shapes import model_shape

    return model_shape(str(folder), "teacher_model.model_name_or_path")


def _known(name: str) -> Any:
    from src.memory_plan.shapes import model_shape

    return model_shape(name, "teacher_model.model_name_or_path")
