"""A small chat endpoint on loopback that misbehaves by script: real HTTP for the tests.

    async with FaultServer([status(429, retry_after="1"), ok("fine")]) as server:
        provider = OpenAICompatibleProvider("m", base_url=server.base_url)

A script is a list of behaviours, one a request (the last one stays), or a function of the
request's number and JSON body that chooses one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]
Script = Sequence[Behaviour] | Callable[[int, dict[str, Any]], Behaviour]


def ok(
    text: str | None = "fine",
    *,
    finish_reason: str = "stop",
    cost: float | None = None,
    prompt_tokens: int = 7,
    completion_tokens: int = 3,
    after_s: float = 0.0,
) -> Behaviour:
    """A chat completion; `text` None is null content, `after_s` makes it slow."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(after_s)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        if cost is not None:
            usage["cost"] = cost  # type: ignore[assignment]
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return web.json_response({"choices": [choice], "usage": usage})

    return answer


def status(
    code: int, message: str = "no", /, *, retry_after: str | None = None, **error: Any
) -> Behaviour:
    """An error answer in OpenAI's shape; further fields go into the error object."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return web.json_response(
            {"error": {"message": message, "code": code, **error}}, status=code, headers=headers
        )

    return answer


def raw(text: str, code: int = 200) -> Behaviour:
    """Any body at all."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(text=text, status=code, content_type="application/json")

    return answer


def echo_headers(code: int) -> Behaviour:
    """An error that repeats everything it was sent: an endpoint that leaks keys."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": str(dict(request.headers))}}, status=code)

    return answer


async def hang(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """No answer, ever."""
    await asyncio.Event().wait()
    raise AssertionError("not reached")


async def cut(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Half a body, then the connection breaks."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"mess')
    assert request.transport is not None
    request.transport.abort()
    return response


@dataclass
class FaultServer:
    """The endpoint; `requests` holds the JSON body of each request, in order of arrival."""

    script: Script
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # on the loop's clock
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> FaultServer:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.text())
        number = len(self.requests)
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.times.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if callable(self.script):
                behaviour = self.script(number, body)
            else:
                behaviour = self.script[min(number, len(self.script) - 1)]
            return await behaviour(request, body)
        finally:
            self.in_flight -= 1
