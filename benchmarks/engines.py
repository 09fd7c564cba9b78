"""Measures the engines on this machine: start-up, memory, hand-off of weights, client overhead.

python -m benchmarks.engines [--model embedded:smollm2-135m-instruct] [--client-only]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web

from config.schema import EngineSettings
from src.embedded import resolve_model
from src.inference_providers.base import Sampling
from src.vllm.client import EngineProvider
from src.vllm.engine import Engine
from src.vllm.engines import EngineSet
from src.vllm.spec import EngineSpec
from src.vllm.weights import publish

REQUESTS, AT_ONCE = 2000, 64
PROMPT, SAMPLED = 400, 100  # tokens
MIB = 2**20


def _specs(model: str, count: int) -> list[EngineSpec]:
    settings: dict[str, Any] = {"dtype": "float32", "max_length": 2048, "sleeps": False}
    return [
        EngineSpec(name=role, model=model, roles=(role,), **settings)
        for role in ("teacher", "student")[:count]
    ]


def _memory(engine: Engine) -> str:
    leader = psutil.Process(engine.pid)
    parts = [(p.name(), p.memory_full_info().pss) for p in leader.children(recursive=True)]
    parts = [(name, size) for name, size in parts if size > 50 * MIB]
    return ", ".join(f"{name} {size / MIB:.0f} MiB" for name, size in parts)


def measure_engines(model: str, count: int) -> None:
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineSet(_specs(model, count), EngineSettings(), Path(folder)) as engines,
    ):
        print(f"{count} engine(s) ready in {time.perf_counter() - began:.1f} s")
        for engine in engines.engines.values():
            print(f"  {engine.spec.name}: {_memory(engine)} (proportional set size)")
        if count == 1:
            _hand_off(engines, model)
        began = time.perf_counter()
    print(f"  stopped in {time.perf_counter() - began:.1f} s")


def _hand_off(engines: EngineSet, model: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_pretrained(resolve_model(model), dtype=torch.float32)
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    engine = engines.engines["teacher"]
    for version in (1, 2, 3):
        began = time.perf_counter()
        path = publish(module.named_parameters(), engines.weights_folder, version)
        written = time.perf_counter()
        engine.control.load_weights(path, version)
        print(
            f"  hand-off of {size / MIB:.0f} MiB: written in {1e3 * (written - began):.0f} ms,"
            f" loaded in {1e3 * (time.perf_counter() - written):.0f} ms"
        )
    asyncio.run(_first_tokens(engines))


async def _first_tokens(engines: EngineSet) -> None:
    engine = engines.engines["teacher"]
    provider = EngineProvider(engine, engines.check, 600.0)
    for label in ("first", "second"):
        began = time.perf_counter()
        await provider.complete_tokens([7] * 50, Sampling(temperature=1.0, max_tokens=1))
        print(f"  {label} request, one token: {1e3 * (time.perf_counter() - began):.0f} ms")
    began = time.perf_counter()
    sampling = Sampling(temperature=1.0, max_tokens=64, logprobs=True)
    rows = [provider.complete_tokens([7, 8, at], sampling) for at in range(32)]
    tokens = sum(answer.completion_tokens for answer in await asyncio.gather(*rows))
    print(f"  32 at once: {tokens / (time.perf_counter() - began):.0f} tokens/s")
    await provider.close()


def _answer() -> dict[str, Any]:
    choice = {
        "text": "word " * SAMPLED,
        "finish_reason": "stop",
        "token_ids": list(range(SAMPLED)),
        "prompt_token_ids": list(range(PROMPT)),
        "logprobs": {
            "token_logprobs": [-1.234567890123] * SAMPLED,
            "tokens": ["word"] * SAMPLED,
            "text_offset": list(range(SAMPLED)),
            "top_logprobs": [{"word": -1.234567890123}] * SAMPLED,
        },
    }
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": SAMPLED}}


def _serve(socket: str) -> None:
    answer = _answer()

    async def complete(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/v1/completions", complete)
    web.run_app(app, path=socket, print=lambda *_: None)


def measure_client() -> None:
    """CPU seconds of the asking process, against a server elsewhere that answers at once."""
    with tempfile.TemporaryDirectory() as folder:
        spent = _against_server(Path(folder) / "e.sock")
    print(
        f"client: {1e3 * spent / REQUESTS:.2f} ms of CPU a request"
        f" ({AT_ONCE} at once, {PROMPT} prompt and {SAMPLED} sampled ids with logprobs)"
    )


def _against_server(socket: Path) -> float:
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(socket),))
    server.start()
    while not socket.exists():
        time.sleep(0.05)
    spec = EngineSpec(name="engine", model="model", roles=("teacher",))
    engine = Engine(spec=spec, socket=socket, log=Path("none"), pid=0, started=0.0)
    spent = asyncio.run(_ask_many(EngineProvider(engine, lambda: None, 60.0)))
    server.terminate()
    server.join()
    return spent


async def _ask_many(provider: EngineProvider) -> float:
    sampling = Sampling(temperature=1.0, max_tokens=SAMPLED, logprobs=True)
    left: Iterator[int] = iter(range(REQUESTS))

    async def conversation() -> None:
        for _ in left:
            await provider.complete_tokens(range(PROMPT), sampling)

    began = time.process_time()
    await asyncio.gather(*(conversation() for _ in range(AT_ONCE)))
    spent = time.process_time() - began
    await provider.close()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded:smollm2-135m-instruct")
    parser.add_argument("--client-only", action="store_true")
    options = parser.parse_args()
    measure_client()
    if not options.client_only:
        for count in (1, 2):
            measure_engines(options.model, count)


if __name__ == "__main__":
    main()
