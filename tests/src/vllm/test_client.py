"""The engine client against a scripted server on a real Unix socket: bodies, retries, deadlines."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from src.inference_providers.base import GaveUp, ProviderError, Sampling
from src.vllm.client import ATTEMPTS, EngineProvider, read_answers, request_body
from src.vllm.engine import Engine, last_words
from src.vllm.spec import EngineSpec
from tests.conftest import ROOT

SAMPLING = Sampling(temperature=0.7, max_tokens=5, logprobs=True, stop_token_ids=(2, 9), seed=4)
ANSWER = {
    "choices": [
        {
            "text": "hi",
            "finish_reason": "stop",
            "token_ids": [5, 6, 2],
            "logprobs": {"token_logprobs": [-0.1, -0.2, -0.3]},
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 3},
}
Handler = Callable[[web.Request], Any]


def provider_at(
    socket: Path, check: Callable[[], None] = lambda: None, deadline_s: float = 20
) -> EngineProvider:
    spec = EngineSpec(name="engine", model="model", roles=("teacher",))
    engine = Engine(spec=spec, socket=socket, log=socket.with_suffix(".log"), pid=1, started=0.0)
    return EngineProvider(engine, check, deadline_s)


@asynccontextmanager
async def served(
    folder: Path, handler: Handler, check: Callable[[], None] = lambda: None, deadline_s: float = 20
) -> AsyncIterator[EngineProvider]:
    app = web.Application()
    app.router.add_post("/v1/completions", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    socket = folder / "e.sock"
    await web.UnixSite(runner, str(socket)).start()
    provider = provider_at(socket, check, deadline_s)
    try:
        yield provider
    finally:
        await provider.close()
        await runner.cleanup()


def test_the_body_gives_every_field_that_shapes_the_distribution() -> None:
    schema = {"type": "object"}
    sampling = Sampling(
        temperature=0.7, max_tokens=5, top_p=0.9, top_k=-1, json_schema=schema, seed=None
    )
    body = request_body("engine", (1, 2, 3), sampling)
    assert body == {
        "model": "engine",
        "prompt": [1, 2, 3],
        "max_tokens": 5,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 0,
        "stop_token_ids": [],
        "return_token_ids": True,
        "priority": 0,
        "skip_special_tokens": False,
        "structured_outputs": {"json": schema},
    }
    assert request_body("e", [1], SAMPLING)["logprobs"] == 0
    assert request_body("e", [1], SAMPLING)["seed"] == 4


def test_ids_without_as_many_logprobs_are_an_error() -> None:
    broken = {**ANSWER, "choices": [{**ANSWER["choices"][0], "token_ids": [5, 6]}]}
    with pytest.raises(ProviderError, match="2 token ids came with 3 logprobs"):
        read_answers(broken, "m")


async def test_an_answer_becomes_a_completion(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert (await request.json())["prompt"] == [1, 2, 3]
        return web.json_response(ANSWER)

    async with served(tmp_path, handler) as provider:
        completion = await provider.complete_tokens([1, 2, 3], SAMPLING)
    assert completion.token_ids == (5, 6, 2) and completion.logprobs == (-0.1, -0.2, -0.3)
    assert (completion.text, completion.stop_reason) == ("hi", "stop")


async def test_several_samples_are_one_request(tmp_path: Path) -> None:
    """They come in the order of their seeds; where nothing is random one answer serves all."""
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(await request.json())
        one = ANSWER["choices"][0]
        choices = [{**one, "index": i, "text": str(i)} for i in reversed(range(asked[-1]["n"]))]
        return web.json_response({**ANSWER, "choices": choices})

    async def greedy(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response(ANSWER)

    async with served(tmp_path, handler) as provider:
        samples = await provider.complete_samples([1, 2, 3], SAMPLING, 3)
    assert [s.text for s in samples] == ["0", "1", "2"]
    assert {(s.prompt_tokens, s.completion_tokens) for s in samples} == {(3, 3)}
    assert asked == [request_body("engine", [1, 2, 3], SAMPLING) | {"n": 3}]
    cold = replace(SAMPLING, temperature=0.0)
    async with served(tmp_path, greedy) as provider:
        assert [s.text for s in await provider.complete_samples([1], cold, 2)] == ["hi", "hi"]
        with pytest.raises(ProviderError, match="3 samples were asked for, and 1 came back"):
            await provider.complete_samples([1], SAMPLING, 3)
    assert "n" not in asked[1]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_passing_failure_is_asked_again(tmp_path: Path, lost: bool) -> None:
    calls = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(1)
        if len(calls) < 3:
            if lost:
                request.transport.close()
            return web.json_response({}, status=503)
        return web.json_response(ANSWER)

    async with served(tmp_path, handler) as provider:
        assert (await provider.complete_tokens([1], SAMPLING)).text == "hi"
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("status", "calls_made", "error"), [(400, 1, GaveUp), (404, 1, ProviderError), (500, 4, GaveUp)]
)
async def test_failures_by_class(
    tmp_path: Path, status: int, calls_made: int, error: type[Exception]
) -> None:
    calls = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(1)
        return web.json_response({"error": {"message": "too long"}}, status=status)

    async with served(tmp_path, handler) as provider:
        with pytest.raises(error, match=f"answered {status}: too long"):
            await provider.complete_tokens([1], SAMPLING)
    assert len(calls) == calls_made <= ATTEMPTS


async def test_a_silent_engine_ends_the_run_at_the_deadline(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.json_response(ANSWER)

    async with served(tmp_path, handler, deadline_s=0.2) as provider:
        with pytest.raises(ProviderError, match=r"engines\.request_timeout_s"):
            await provider.complete_tokens([1], SAMPLING)


async def test_a_request_may_wait_while_others_are_answered(tmp_path: Path) -> None:
    """Ten one after the other, 0.1 s each: the last waits for longer than the deadline; then one
    that is never answered, and the deadline counts from the last answer."""
    one_at_a_time, stuck = asyncio.Lock(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        async with one_at_a_time:
            await asyncio.sleep(0.1)
        if (await request.json())["prompt"] == [2]:
            await stuck.wait()
        return web.json_response(ANSWER)

    async with served(tmp_path, handler, deadline_s=0.5) as provider:
        began = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(provider.complete_tokens([2], SAMPLING))
        await asyncio.gather(*(provider.complete_tokens([1], SAMPLING) for _ in range(9)))
        assert not waiting.done() and asyncio.get_running_loop().time() - began > 0.6
        with pytest.raises(ProviderError, match=r"engines\.request_timeout_s"):
            await waiting
        stuck.set()


async def test_a_dead_engine_ends_the_run_with_what_the_check_says(tmp_path: Path) -> None:
    def check() -> None:
        raise ProviderError("engine engine died: out of memory")

    async def handler(request: web.Request) -> web.Response:
        request.transport.close()
        return web.Response()

    async with served(tmp_path, handler, check) as provider:
        with pytest.raises(ProviderError, match="died: out of memory"):
            await provider.complete_tokens([1], SAMPLING)


async def test_an_engine_that_nobody_reaches_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "e.log").write_text("EngineDeadError: gone\n")
    provider = provider_at(tmp_path / "e.sock")
    with pytest.raises(ProviderError, match=r"connection lost.*4 attempts.*EngineDeadError: gone"):
        await provider.complete_tokens([1], SAMPLING)
    await provider.close()


def test_one_provider_serves_successive_event_loops(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(ANSWER)

    provider = provider_at(tmp_path / "e.sock")

    async def once() -> str:
        async with served(tmp_path, handler):
            return (await provider.complete_tokens([1], SAMPLING)).text

    assert [asyncio.run(once()) for _ in range(2)] == ["hi", "hi"]


@pytest.mark.parametrize("limits", ["256, 4000", "700, 700"])
def test_more_requests_than_open_files(limits: str) -> None:
    """A low soft limit is raised; under a low hard one requests wait for each other."""
    code = f"""
import asyncio, resource, tempfile
from pathlib import Path
from aiohttp import web
from tests.src.vllm.test_client import ANSWER, SAMPLING, served
resource.setrlimit(resource.RLIMIT_NOFILE, ({limits}))

async def handler(request):
    await asyncio.sleep(0.2)
    return web.json_response(ANSWER)

async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with served(Path(folder), handler) as provider:
            asked = [provider.complete_tokens([1], SAMPLING) for _ in range(900)]
            print(len(await asyncio.gather(*asked)))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "900\n", done.stderr[-2000:]


def test_last_words_are_the_errors_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "e.log"
    log.write_text(
        "(APIServer pid=1) INFO 11-23 06:42:41 [a.py:1] starting\n"
        "(EngineCore pid=2) ERROR 11-23 06:42:42 [core.py:9] Traceback (most recent call last):\n"
        '(EngineCore pid=2) ERROR 11-23 06:42:42 [core.py:9]   File "x.py", line 3, in f\n'
        "(EngineCore pid=2) ERROR 11-23 06:42:42 [core.py:9] ValueError: max_model_len is 9\n"
        "(APIServer pid=1) INFO 11-23 06:42:43 [a.py:1] stopping\n"
        "nanobind: leaked 2 types!\n"
        ' - leaked type "triton.CompileError"\n'
    )
    assert last_words(log) == "ValueError: max_model_len is 9"
    log.write_text("one\ntwo\nthree\n")
    assert last_words(log) == "two | three"
    assert last_words(log, start=8) == "three"
    assert last_words(tmp_path / "none") == "it wrote no log"
