"""How items ask an engine of ours: prompts, answers, tokens/s."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.cards import card
from benchmarks.gpu.engine import MANIFEST
from benchmarks.gpu.found import Found
from src.inference_providers.base import Sampling
from src.vllm.engines import EngineSet
from src.vllm.providers import ResidentProvider
from utils.seeding import keyed_rng

ASCII = 94  # the tokenizer's first ids


def attached() -> tuple[dict[str, Any], EngineSet]:
    """What the engine's start showed, and the engine."""
    about = json.loads(Path(os.environ[MANIFEST]).read_text())
    if "reason" in about:
        raise RuntimeError(f"the engine did not start: {about['reason']}")
    return about, EngineSet.attach(Path(about["manifest"]))


def engines_of(found: Found, about: dict[str, Any]) -> EngineSet:
    if "reason" in about:
        raise RuntimeError(f"the engine did not start: {about['reason']}")
    for key in ("start_s", "runner", "asleep_gib"):
        found.found[f"{key}_at_start" if key == "asleep_gib" else key] = about[key]
    found.found["failed_starts"] = about.get("failed", [])
    return EngineSet.attach(Path(about["manifest"]))


def prompts(count: int, length: int = 24) -> list[list[int]]:
    """Of plain ASCII: half a letter at the end would spoil the text that follows."""
    rngs = [keyed_rng("prompt", n) for n in range(count)]
    return [[rng.randrange(ASCII) for _ in range(length)] for rng in rngs]


async def ask(
    provider: ResidentProvider, asked: Sequence[Sequence[int]], sampling: Sequence[Sampling]
) -> list[tuple[list[int], list[float]]]:
    """Ids and logprobs of each prompt, all at once."""
    answers = await asyncio.gather(
        *(provider.complete_tokens(p, s) for p, s in zip(asked, sampling, strict=True))
    )
    return [(list(a.token_ids or ()), list(a.logprobs or ())) for a in answers]


def greedy(tokens: int) -> Sampling:
    return Sampling(temperature=0.0, max_tokens=tokens)


async def throughput(provider: ResidentProvider, folder: Path, dry: bool) -> dict[str, float]:
    """Generated tokens/s of 128 requests of 256 tokens, and the share of the roofline's decode."""
    count, tokens = (128, 256) if not dry else (8, 16)
    warm = [Sampling(temperature=1.0, max_tokens=4, seed=n) for n in range(count)]
    await ask(provider, prompts(count), warm)
    began = time.perf_counter()
    sampling = [Sampling(temperature=1.0, max_tokens=tokens, seed=n) for n in range(count)]
    answers = await ask(provider, prompts(count), sampling)
    seconds = time.perf_counter() - began
    rate = sum(len(ids) for ids, _ in answers) / seconds
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return {
        "tokens_per_s": rate,
        "of_roofline": rate / (count * card().bandwidth / weights),
        "step_ms": 1000.0 * seconds / tokens,
    }
