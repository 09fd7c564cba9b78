"""What our client costs: 1,000 conversations of turns that an engine answers at once.

The engine is a process of its own that sends a fixed answer of vLLM's form over a Unix socket; what
is counted is the CPU time of this process, rendering, requests, ledgers and records included.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.speed.plain import PlainClassroom
from benchmarks.speed.results import Result, compare, repeated
from benchmarks.speed.running import settings
from src.inference_providers.budget import Budget
from src.setup import build_classroom
from src.vllm.client import EngineProvider
from src.vllm.engine import Engine
from src.vllm.spec import EngineSpec
from utils.data.problems import Problem

CONVERSATIONS, TURNS, SAMPLED = 1000, 8, 30
SETTINGS = (
    f"generation.max_turns={TURNS}",
    "reward_model.model_name_or_path=None",
    "generation.number_initial_attempts=0",
    "generation.number_judge_attempts=0",
    "generation.max_concurrent_conversations=64",
    "generation.forced_conversation_type=guided",
    "teacher_model.vllm.max_length=8192",
    "student_model.vllm.max_length=8192",
    "generation.max_tokens_in_conversation=8192",
)


def _serve(socket: str) -> None:
    choice = {
        "text": " and what is next?",
        "finish_reason": "stop",
        "token_ids": list(range(SAMPLED)),
        "prompt_token_ids": [],
        "logprobs": {"token_logprobs": [-1.234567890123] * SAMPLED},
    }
    usage = {"prompt_tokens": 3, "completion_tokens": SAMPLED}
    answer: dict[str, Any] = {"choices": [choice], "usage": usage}

    async def complete(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/v1/completions", complete)
    web.run_app(app, path=socket, print=lambda *_: None)


@contextmanager
def answering() -> Iterator[Engine]:
    """An engine that answers at once."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "e.sock"
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(socket),))
        server.start()
        while not socket.exists():
            time.sleep(0.05)
        spec = EngineSpec(
            name="engine", model="model", roles=("teacher",), phases=frozenset({"turns"})
        )
        yield Engine(spec=spec, socket=socket, log=Path("none"), pid=0, started=0.0)
        server.terminate()
        server.join()


def measure(name: str, repeats: int) -> Result:
    """CPU milliseconds a turn."""
    cfg = settings("smollm2", *SETTINGS)
    problems = [
        Problem(id=f"p{n}", text=f"What is {n} + 1?", answer="1") for n in range(CONVERSATIONS)
    ]

    def spent(engine: Engine, plain: bool) -> float:
        asked = {r: EngineProvider(engine, lambda: None, 60.0) for r in ("teacher", "student")}
        room = build_classroom(
            cfg, asked, evaluation=False, budget=Budget.from_settings(cfg.engines)
        )

        async def run() -> None:
            way = PlainClassroom(room) if plain else room
            records = await way.run(problems, samples=1)
            assert all(len(r.messages) == TURNS for r in records)
            await room.close()

        began = time.process_time()
        asyncio.run(run())
        return 1e3 * (time.process_time() - began) / (CONVERSATIONS * TURNS)

    with answering() as engine:
        pairs = repeated(repeats, lambda _: (spent(engine, False), spent(engine, True)))
    return compare(name, "ms", pairs)
