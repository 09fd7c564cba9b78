"""T1 to T4: the trainer's gradients, speed and memory on a GPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu import training as t
from benchmarks.gpu.cards import Memory, card, timed
from benchmarks.gpu.found import Found
from benchmarks.gpu.models import model_folder, random_model, shape

GIB = 2**30
PACKED_ERROR = 1.2  # times the padded one's, at most
PLAN_ERROR = 0.10


def gradients(found: Found, work: Path, dry: bool) -> None:
    """T1: packed bf16 and TRL's padded bf16, each against padded fp32."""
    import torch

    folder = model_folder("qwen2.5-0.5b", work, dry)
    rows = _sampled(folder, rows=16 if not dry else 4, longest=256 if not dry else 24)
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
        error = _distance(seen.gradients, reference.gradients)
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


def _distance(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """|one - other| / |other| over all gradients, and the cosine between them."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    apart = size = own = inner = 0.0
    for name, gradient in other.items():
        a, b = one[name].to(device), gradient.to(device)
        apart += (a - b).pow(2).sum().item()
        size += b.pow(2).sum().item()
        own += a.pow(2).sum().item()
        inner += (a * b).sum().item()
    cosine = inner / max((own * size) ** 0.5, 1e-30)
    return {"gradient_error": (apart / max(size, 1e-30)) ** 0.5, "gradient_cosine": cosine}


def _sampled(folder: Path, rows: int, longest: int) -> list[Any]:
    """Conversations that the model itself sampled, with its logprobs; half of them the tutor's."""
    import torch
    from transformers import AutoModelForCausalLM

    from utils.records import Trajectory

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
    torch.manual_seed(1)
    prompts = torch.randint(0, model.config.vocab_size - 3, (rows, 16), device=device)
    answer = model.generate(
        prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0, top_p=1.0,
        temperature=1.0, max_new_tokens=longest, min_new_tokens=longest,
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    sampled = answer.sequences[:, prompts.shape[1] :]
    scored = [row.float().log_softmax(-1) for row in answer.logits]
    logps = torch.stack(
        [s.gather(1, sampled[:, at : at + 1])[:, 0] for at, s in enumerate(scored)], 1
    ).tolist()
    found = []
    for row, ids in enumerate(sampled.tolist()):
        count = longest - (row * longest) // (2 * rows)  # uneven: from half to all of it
        mask = [int((count - 1 - at) // 8 % 2 == 0) for at in range(count)]
        own = [p if m else None for p, m in zip(logps[row], mask, strict=False)]
        found.append(
            Trajectory(
                prompt_ids=prompts[row].tolist(),
                completion_ids=ids[:count],
                mask=mask,
                logprobs=own,
            )
        )
    return found


def speed(found: Found, work: Path, dry: bool) -> None:
    """T2: seconds a step, tokens/s and MFU on log-normal rows, packed and padded."""
    folder = model_folder("qwen2.5-1.5b", work, dry)
    size = _shape_of(folder)
    rows = t.made_up(t.lengths(64, 4096) if not dry else [100] * 8, size.vocabulary)
    tokens = sum(len(r.prompt_ids) + len(r.completion_ids) for r in rows)
    memory = Memory()
    for way, packed in (("packed", True), ("padded", False)):
        steps = 3 if packed else 2
        cfg = t.settings(
            len(rows), 4, 4096, padding_free=packed, max_steps=steps, gradient_checkpointing=True
        )
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
            "tokens_per_s": tokens / seconds,
            "mfu": flops / seconds / card().flops,
            "peak_so_far_gib": seen.peak,
            "loss": [row["loss"] for row in seen.logged],
        }
    ratio = found.found["padded"]["step_s"] / found.found["packed"]["step_s"]
    found.found |= {"padded_over_packed": ratio, "tokens": tokens}
    found.expected = {
        "mfu, roofline's A100 and H100 figure": "0.35 to 0.40",
        "padded/packed": "> 1",
    }
    found.passed = dry or ratio > 1.0
    found.setting = "train.padding_free, train.per_device_train_batch_size"


def memory_and_hand_over(found: Found, work: Path, dry: bool) -> None:
    """T3: ZeRO-3 on one rank, paged 8-bit Adam, KL, two rows of 8,192 tokens: against the plan."""
    from src.grpo.weights import whole_weights
    from src.vllm.weights import open_published, publish

    folder = model_folder("qwen2.5-1.5b", work, dry)
    longest = 8192 if not dry else 128
    memory = Memory()
    rows = t.made_up([longest] * 4, _shape_of(folder).vocabulary)
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
            seconds, file = timed(lambda w=weights, n=turn: publish(w, Path(where), n))
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


def resume(found: Found, work: Path, dry: bool) -> None:
    """T3: a ZeRO-3 checkpoint, and the same losses after going on from it."""
    folder = model_folder("qwen2.5-0.5b", work, dry)
    rows = t.made_up([512 if not dry else 100] * 8, _shape_of(folder).vocabulary)
    t.use_deepspeed(3, work)
    cfg = t.settings(len(rows), 4, 1024, max_steps=2, learning_rate=1e-5)
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
    rows = _sampled(folder, rows=16 if not dry else 4, longest=128 if not dry else 16)
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
    error = _distance(kept["bf16"], kept["fp32"])
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


def adapters(found: Found, work: Path, dry: bool) -> None:
    """T4: 7B with LoRA under ZeRO-2, a row of 8,192 tokens at a time."""
    tokenizer = model_folder("qwen2.5-0.5b", work, dry)
    longest = 8192 if not dry else 128
    memory = Memory()
    t.use_deepspeed(2, work)
    config = shape("qwen2.5-7b", dry)
    rows = t.made_up([longest] * 4, min(config.vocab_size, 151936))
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
