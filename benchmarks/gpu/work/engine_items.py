"""V1, V2: what a running engine takes, and whether it samples what the trainer computes."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu import training as t
from benchmarks.gpu.asking import ask, attached, prompts
from benchmarks.gpu.cards import used_bytes
from benchmarks.gpu.engine import NAME, SHARE
from benchmarks.gpu.found import Found
from benchmarks.gpu.models import model_folder
from src.inference_providers.base import Sampling
from src.vllm.providers import providers_of

GIB = 2**30


def start(found: Found, work: Path, dry: bool) -> None:
    """V1: which runner; memory awake and asleep, of all processes, less what was there before."""
    about, engines = attached()
    before = about["used_before_gib"]
    _, residency = providers_of(engines)
    control = engines.engines[NAME].control
    control.wake()
    awake = used_bytes() / GIB - before
    control.sleep(level=1)
    asleep = used_bytes() / GIB - before
    residency.rest()
    found.found = {
        "start_s": about["start_s"],
        "runner": about["runner"],
        "eager": about["eager"],
        "failed_starts": about.get("failed", []),
        "awake_gib": awake,
        "asleep_gib": asleep,
        "asleep_at_start_gib": about["asleep_gib"],
    }
    found.expected = {"asleep_gib": 1.0, "awake_gib": f"{SHARE} of the card"}
    found.passed = dry or asleep <= 1.5
    found.setting = "src/memory_plan/engines.py: ENGINE_GIB; VLLM_USE_V2_MODEL_RUNNER"


def sampler_and_trainer(found: Found, work: Path, dry: bool) -> None:
    """V2: the sampler's logprobs of its own tokens, and the packed trainer's of the same."""
    from utils.records import Trajectory

    _, engines = attached()
    rows, tokens = (64, 256) if not dry else (8, 16)
    asked = prompts(rows)

    async def sample() -> list[tuple[list[int], list[float]]]:
        providers, residency = providers_of(engines)
        sampling = [
            Sampling(temperature=1.0, max_tokens=tokens, seed=row, logprobs=True)
            for row in range(rows)
        ]
        try:
            return await ask(providers[NAME], asked, sampling)
        finally:
            await providers[NAME].close()
            residency.rest()

    answers = asyncio.run(sample())
    sampled = [
        Trajectory(prompt_ids=p, completion_ids=ids, mask=[1] * len(ids), logprobs=list(logprobs))
        for p, (ids, logprobs) in zip(asked, answers, strict=True)
    ]
    folder = model_folder("qwen2.5-0.5b", work, dry)
    own = _flat([row.logprobs for row in sampled])
    found.found = {"tokens": len(own), "mean_logprob_nats": statistics.fmean(own)}
    scored = {}
    for name, dtype, fp32_head in (
        ("bf16", "bfloat16", False),
        ("bf16_fp32_head", "bfloat16", True),
        ("fp32", "float32", False),
    ):
        theirs = _scored(folder, sampled, dtype, fp32_head)
        scored[name] = theirs
        gaps = [abs(a - b) for a, b in zip(own, theirs, strict=True)]
        ratios = [2.718281828 ** (b - a) for a, b in zip(own, theirs, strict=True)]
        found.found[f"trainer_{name}"] = {
            "gap_mean_nats": statistics.fmean(gaps),
            "gap_p99_nats": sorted(gaps)[int(0.99 * len(gaps))],
            "gap_max_nats": max(gaps),
            "ratio_mean": statistics.fmean(ratios),
        }
    trainer_error = statistics.fmean(
        abs(a - b) for a, b in zip(scored["bf16"], scored["fp32"], strict=True)
    )
    sampler_error = found.found["trainer_fp32"]["gap_mean_nats"]
    found.found |= {"sampler_error_nats": sampler_error, "trainer_error_nats": trainer_error}
    found.expected = {"sampler's error against fp32": "at most 1.5 times the bf16 trainer's"}
    found.expected["gap_mean_nats"] = "below 0.1"
    found.passed = (
        sampler_error <= 1.5 * trainer_error + 1e-4
        and found.found["trainer_bf16"]["gap_mean_nats"] < 0.1
    )
    found.setting = "train.importance_sampling; an fp32 head in both, or in neither"


def _flat(rows: Any) -> list[float]:
    return [value for row in rows for value in row]


def _scored(folder: Path, rows: list[Any], dtype: str, fp32_head: bool) -> list[float]:
    """Logprobs of all completion tokens, in order, by the trainer before its first update."""
    cfg = t.settings(
        len(rows), 4, 2048, dtype=dtype, optimizer="adamw_torch", learning_rate=1e-9, beta=0.0
    )
    with tempfile.TemporaryDirectory() as out:
        trainer = t.build(cfg, folder, folder, rows, Path(out), fp32_head=fp32_head)
        seen = t.train(trainer)
    found = [logps[mask].tolist() for logps, mask in zip(seen.logps, seen.mask, strict=True)]
    del trainer
    t.forget()
    return _flat(found)
