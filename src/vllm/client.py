"""Asks one engine: token ids in, sampled ids and their logprobs out, over its Unix socket."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import aiohttp
from pydantic_core import from_json, to_json
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from src.inference_providers.base import (
    ChatMessage,
    Completion,
    GaveUp,
    ProviderError,
    Sampling,
)
from src.open_files import connections_allowed
from src.vllm.control import EngineDied
from src.vllm.engine import Engine

ATTEMPTS = 4
GREEDY = 1e-5  # below this temperature vLLM takes the most probable token
_HEADERS = {"Content-Type": "application/json"}


class _Retryable(Exception):
    """A request that may succeed if it is asked again; carries what happened."""


class _Unreachable(_Retryable):
    """Nobody answered."""


class EngineProvider:
    """A provider backed by one of our servers.

    `check` is called when the server cannot be reached; it raises ProviderError if an engine has
    died (`EngineSet.check`).  One instance may be used from successive event loops.
    """

    gives_tokens = True

    def __init__(self, engine: Engine, check: Callable[[], None], deadline_s: float) -> None:
        self.engine, self.name = engine, engine.spec.model
        self._check, self._deadline_s = check, deadline_s
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_answer = -math.inf  # by the clock of event loops

    async def complete_tokens(
        self, prompt_ids: Sequence[int], sampling: Sampling, model: str | None = None
    ) -> Completion:
        """Continue these ids, by the model that the engine serves, or an adapter of it.

        Raises GaveUp if this request cannot be answered (too long, or failed for good after
        bounded retries), ProviderError if the engine is dead or silent.
        """
        answer = await self._ask(request_body(model or self.engine.spec.name, prompt_ids, sampling))
        return read_answers(answer, self.name)[0]

    async def complete_samples(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        n: int,
        model: str | None = None,
    ) -> list[Completion]:
        """n samples of one prompt in one request, with the seeds s, s + 1, ... as vLLM counts.

        Raises as `complete_tokens` does, for all of them at once.
        """
        if sampling.temperature < GREEDY:  # vLLM refuses several where nothing is random
            alone = await self.complete_tokens(prompt_ids, sampling, model)
            return [alone] * n
        body = request_body(model or self.engine.spec.name, prompt_ids, sampling)
        return read_answers(await self._ask(body | {"n": n}), self.name, n)

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        """Refused: prompts of our engines are ids that we rendered, so nobody can forge a turn."""
        raise NotImplementedError("engines are asked with token ids; render the messages first")

    async def score_tokens(self, ids: Sequence[int], model: str | None = None) -> list[float]:
        """Logprobs of ids[1:] given what stands before each, at temperature 1; length - 1."""
        body = {
            "model": model or self.engine.spec.name,
            "prompt": list(ids),
            "max_tokens": 1,
            "temperature": 0.0,
            "prompt_logprobs": 0,
        }
        rows = (await self._ask(body))["choices"][0]["prompt_logprobs"]
        return [row[str(i)]["logprob"] for i, row in zip(ids[1:], rows[1:], strict=True)]

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        payload = to_json(body)
        try:
            async with self._deadline():
                try:
                    answer = await self._post(payload)
                except _Retryable:
                    answer = await self._ask_again(payload)
                self._last_answer = asyncio.get_running_loop().time()
                return answer
        except TimeoutError:
            self._check()
            raise ProviderError(
                f"engine {self.engine.spec.name}: no answer in {self._deadline_s:.0f} s"
                f" (engines.request_timeout_s); its log: {self.engine.log}"
            ) from None
        except _Retryable as error:
            self._check()
            said = f"engine {self.engine.spec.name}: {error} ({ATTEMPTS} attempts)"
            if isinstance(error, _Unreachable):  # it is ending, though its process still stands
                name = self.engine.spec.name
                raise EngineDied(name, f"{said}; {self.engine.last_words()}") from None
            raise GaveUp(said) from None

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """TimeoutError after so many seconds without any answer of this engine: a request that
        waits inside it while others are answered is no sign of a fault."""
        loop, asked = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        timer: asyncio.TimerHandle
        async with asyncio.timeout(None) as timeout:

            def look() -> None:
                nonlocal timer
                due = max(asked, self._last_answer) + self._deadline_s
                if due <= loop.time():
                    timeout.reschedule(loop.time())
                else:
                    timer = loop.call_at(due, look)

            timer = loop.call_at(asked + self._deadline_s, look)
            try:
                yield
            finally:
                timer.cancel()

    async def _ask_again(self, payload: bytes) -> dict[str, Any]:
        """The attempts after the first, which goes without: tenacity costs 0.2 ms to set up."""
        await asyncio.sleep(0.05)
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_Retryable),
            stop=stop_after_attempt(ATTEMPTS - 1),
            wait=wait_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        )
        return await attempts(self._post, payload)

    async def _post(self, payload: bytes) -> dict[str, Any]:
        try:
            async with self._connection().post(
                "http://localhost/v1/completions", data=payload, headers=_HEADERS
            ) as response:
                answer = await response.read()
        except aiohttp.ClientConnectionError as error:
            self._check()
            raise _Unreachable(f"connection lost: {error}") from None
        if response.status == 200:
            return from_json(answer)
        self._refuse(response.status, answer.decode(errors="replace"))

    def _refuse(self, status: int, text: str) -> NoReturn:
        """400: this request; 5xx: perhaps only now; anything else: our mistake, for every call."""
        said = f"answered {status}: {_message(text)}"
        if status >= 500:
            self._check()
            raise _Retryable(said)
        if status == 400:
            raise GaveUp(f"engine {self.engine.spec.name}: {said}")
        raise ProviderError(f"engine {self.engine.spec.name}: {said}")

    def _connection(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            # more requests than that wait here rather than at the engine
            limit = connections_allowed()
            connector = aiohttp.UnixConnector(path=str(self.engine.socket), limit=limit)
            # the deadline is ours, around all attempts
            timeout = aiohttp.ClientTimeout(total=None)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
            self._loop = loop
        return self._session


def request_body(model: str, prompt_ids: Sequence[int], sampling: Sampling) -> dict[str, Any]:
    """The body of POST /v1/completions.  Every field that shapes the distribution is given."""
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(prompt_ids),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": max(sampling.top_k, 0),
        "stop_token_ids": list(sampling.stop_token_ids),
        "return_token_ids": True,
        "priority": sampling.priority,
        # as written: the end-of-turn token is left out of the text by vLLM, others are not ours
        # to drop
        "skip_special_tokens": False,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logprobs:
        body["logprobs"] = 0  # of the sampled token only
    if sampling.json_schema is not None:
        body["structured_outputs"] = {"json": sampling.json_schema}
    return body


def read_answers(answer: dict[str, Any], name: str, n: int = 1) -> list[Completion]:
    """The n Completions of vLLM's answer, in the order of their seeds.

    Raises ProviderError if ids and logprobs disagree, or if there are not n.
    """
    choices, prompt_tokens = answer["choices"], answer["usage"]["prompt_tokens"]
    if len(choices) != n:
        raise ProviderError(f"{name}: {n} samples were asked for, and {len(choices)} came back")
    choices.sort(key=lambda choice: choice.get("index", 0))
    return [_completion(choice, name, prompt_tokens) for choice in choices]


def _completion(choice: dict[str, Any], name: str, prompt_tokens: int) -> Completion:
    ids = tuple(choice["token_ids"])
    logprobs = None
    if choice.get("logprobs") is not None:
        logprobs = tuple(choice["logprobs"]["token_logprobs"])
        if len(logprobs) != len(ids):
            raise ProviderError(f"{name}: {len(ids)} token ids came with {len(logprobs)} logprobs")
    return Completion(
        text=choice["text"],
        stop_reason="length" if choice["finish_reason"] == "length" else "stop",
        token_ids=ids,
        logprobs=logprobs,
        prompt_tokens=prompt_tokens,
        completion_tokens=len(ids),
    )


def _message(text: str) -> str:
    """The error message of an OpenAI-like error body, or the body."""
    try:
        error = json.loads(text).get("error", text)
        return str(error["message"] if isinstance(error, dict) else error)[:300]
    except (ValueError, AttributeError, KeyError):
        return text.strip()[:300]
