"""New weights to a running engine: in place, against saving a checkpoint and starting it again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.speed.results import Pair, Result, compare, repeated
from benchmarks.speed.running import Running, running, settings
from config.schema import EngineSettings
from src.embedded import resolve_model
from src.inference_providers.base import Sampling
from src.vllm.client import EngineProvider
from src.vllm.engine import Engine
from src.vllm.engines import EngineSet
from src.vllm.spec import EngineSpec
from src.vllm.weights import publish

MIB = 2**20


def _first_token(engine: Engine) -> None:
    async def ask() -> None:
        provider = EngineProvider(engine, lambda: None, 600.0)
        await provider.complete_tokens([7] * 20, Sampling(temperature=1.0, max_tokens=1))
        await provider.close()

    asyncio.run(ask())


def in_place(found: Running, module: Any, version: int) -> float:
    """Seconds from the trainer's weights to the first token sampled from them."""
    engine = found.engines.engines["teacher"]
    began = time.perf_counter()
    path = publish(module.named_parameters(), found.engines.weights_folder, version)
    engine.control.load_weights(path, version)
    _first_token(engine)
    return time.perf_counter() - began


def restarted(spec: EngineSpec, module: Any, tokenizer: Any) -> float:
    """The same by saving a checkpoint and starting an engine on it (ending one is not counted)."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        fresh = replace(spec, model=folder)
        with EngineSet([fresh], EngineSettings(), Path(folder)) as engines:
            _first_token(engines.engines["teacher"])
            return time.perf_counter() - began


def copied_once(path: Path) -> float:
    """Seconds to copy a published file within its folder, the least that any hand-off costs."""
    draft = path.with_suffix(".copy")
    began = time.perf_counter()
    shutil.copyfile(path, draft)
    seconds = time.perf_counter() - began
    draft.unlink()
    return seconds


def measure(name: str, repeats: int, config: str = "smollm2") -> Result:
    """Seconds; the limit is copying the bytes once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    cfg = settings(config)
    model = resolve_model(cfg.teacher_model.model_name_or_path)
    module = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    with running(cfg, "teacher") as found:
        spec = found.engines.engines["teacher"].spec
        _first_token(found.engines.engines["teacher"])  # kernels are warm
        versions = iter(range(1, 1000))
        in_place(found, module, next(versions))  # the first one maps fresh memory

        def pair(_: int) -> Pair:
            return in_place(found, module, next(versions)), restarted(spec, module, tokenizer)

        pairs = repeated(repeats, pair)
        path = publish(module.named_parameters(), found.engines.weights_folder, next(versions))
        limit = min(copied_once(path) for _ in range(3))
    print(f"  {size / MIB:.0f} MiB; one copy {1e3 * limit:.0f} ms")
    return compare(name, "s", pairs, limit=limit)
