"""Any OpenAI-compatible chat endpoint: bounded, polite, and with an end to every wait."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from tenacity import AsyncRetrying, RetryCallState
from tenacity.retry import retry_if_exception
from tenacity.wait import wait_random_exponential

from src.inference_providers.adaptations import adapted, what_is_done
from src.inference_providers.api_key import ApiKey
from src.inference_providers.base import ChatMessage, Completion, GaveUp, ProviderError, Sampling
from src.inference_providers.budget import Budget
from src.inference_providers.concurrency import AdaptiveLimit
from src.inference_providers.http_outcomes import (
    Endpoint,
    FieldRefused,
    Transient,
    read_answer,
    status_inside,
)
from src.inference_providers.http_requests import address, chat_body, most_tokens

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 30.0
PATIENCE = 3  # time-outs that one call may sit through, all its attempts together


@dataclass(slots=True)
class _Effort:
    """What one call has taken so far."""

    requests: int = 0
    waited_s: float = 0.0  # for answers
    wasted_usd: float = 0.0  # for answers without content


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, Transient) and error.bearable


class OpenAICompatibleProvider:
    """One model behind `<base_url>/chat/completions`.

    `base_url` may be `unix:///path/to/socket`.  Retried, `attempts` times in all: 429 (after what
    Retry-After says), 408, 5xx, time-outs, cut or unreadable bodies, null content.  At once the
    run's end (ProviderError): 401, 402, 403, 404, and a field that is refused and that no request
    can do without; other refused fields give way once, for the run, and are noted.  `timeout_s`
    bounds each attempt, and three times that the attempts of one call together.
    """

    gives_tokens = False

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key_env: str | None = None,
        timeout_s: float = 900.0,
        attempts: int = 8,
        max_concurrent: int = 32,
        backoff_s: float = 1.0,
        budget: Budget | None = None,
        extra_body: Mapping[str, Any] | None = None,
        setting: str = "base_url",
    ) -> None:
        """Raises ConfigError, beginning with `setting`, for a missing key or a bad address."""
        self.name = model
        self.limit = AdaptiveLimit(max_concurrent)
        self.budget = budget or Budget()
        self.notes: list[str] = []  # what this endpoint turned out not to take
        self._socket, self._url = address(base_url, setting)
        role, dot, _ = setting.partition(".")
        who = f"{role} ({model})" if dot else model
        self._endpoint = Endpoint(who, base_url, ApiKey(api_key_env, setting))
        self._extra_body = dict(extra_body or {})
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._backoff = wait_random_exponential(multiplier=backoff_s, max=60.0)
        self._refused: set[str] = set()
        self._answered = False
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, base_url={self._endpoint.base_url!r})"

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        raise ProviderError(f"{self.name}: a chat endpoint takes messages, not token ids")

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        """Answer this chat.  `cost_usd` counts every attempt that was answered.

        Raises GaveUp after bounded retries, ProviderError (BudgetReached among them) at once.
        """
        body, effort = chat_body(self.name, messages, sampling) | self._extra_body, _Effort()
        retrying = AsyncRetrying(
            retry=retry_if_exception(_worth_another_try),
            stop=lambda state: self._enough(state, effort),
            wait=self._wait,
            reraise=True,
        )
        try:
            completion: Completion = await retrying(self._attempt, body, effort)
        except Transient as fault:
            if fault.unreachable and not self._answered:
                raise ProviderError(
                    f"{self._endpoint.who}: cannot reach {self._endpoint.base_url}: {fault}"
                ) from None
            raise GaveUp(
                f"{self._endpoint.who}: gave up after {effort.requests} requests: {fault}"
            ) from None
        return replace(completion, cost_usd=completion.cost_usd + effort.wasted_usd)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            # A session left over from an event loop that has ended cannot say goodbye.
            with suppress(RuntimeError):
                await session.close()

    def _wait(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: ours, or what the endpoint asks for if that is more."""
        fault = state.outcome.exception() if state.outcome else None
        own = self._backoff(state)
        return max(own, fault.retry_after_s) if isinstance(fault, Transient) else own

    def _enough(self, state: RetryCallState, effort: _Effort) -> bool:
        too_slow = effort.waited_s >= PATIENCE * self._timeout_s
        return too_slow or state.attempt_number >= self._attempts

    async def _attempt(self, body: dict[str, Any], effort: _Effort) -> Completion:
        """One try; more than one request only while the endpoint refuses fields."""
        while True:
            try:
                return await self._request(adapted(body, self._refused), effort)
            except FieldRefused as refusal:
                self._remember(refusal)

    def _remember(self, refusal: FieldRefused) -> None:
        fresh = sorted(refusal.fields - self._refused)
        self._refused |= refusal.fields
        if fresh:
            done = ", ".join(what_is_done(field) for field in fresh)
            self._say_once(f"{self._endpoint.who}: {done}: the endpoint said: {refusal}")

    def _say_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
            log.warning(note)

    async def _request(self, body: dict[str, Any], effort: _Effort) -> Completion:
        async with (
            self.limit.slot() as started_in,
            self.budget.call(self.name, most_tokens(body)) as ticket,
        ):
            effort.requests += 1
            started = time.monotonic()
            try:
                answer = read_answer(await self._post(body))
            except Transient as fault:
                if fault.throttled:
                    self.limit.slow_down(started_in, fault.bearable_wait_s)
                if fault.lost:
                    ticket.lost()
                log.info("%s: %s", self.name, fault)
                raise
            except asyncio.CancelledError:
                ticket.lost()
                raise
            finally:
                effort.waited_s += time.monotonic() - started
            ticket.settle(answer.tokens, answer.cost_usd)
            self.limit.speed_up()
            if answer.completion is None:
                effort.wasted_usd += answer.cost_usd or 0.0
                raise Transient(answer.why_empty)
            if not answer.completion.text and answer.completion.stop_reason == "length":
                self._say_once(
                    f"{self._endpoint.who}: an answer of {answer.completion.completion_tokens} "
                    "tokens had no words: thinking took them all; allow it more tokens"
                )
            return answer.completion

    async def _post(self, body: dict[str, Any]) -> Any:
        """The JSON of a good answer.

        What aiohttp raises can hold the request's headers, so none of it is chained or shown.
        """
        session = await self._open()
        broken: Transient | None = None
        try:
            async with session.post(self._url, json=body, allow_redirects=False) as response:
                status, headers = response.status, response.headers
                text = await response.text(encoding="utf-8", errors="replace")
        except TimeoutError:
            broken = Transient(f"no answer within {self._timeout_s:g} s", lost=True)
        except aiohttp.ClientConnectorError as error:
            broken = Transient(f"no connection ({error.os_error})", unreachable=True)
        except aiohttp.ClientError as error:
            broken = Transient(f"the answer broke off ({type(error).__name__})", lost=True)
        if broken is not None:
            raise broken
        self._answered = True
        good = 200 <= status < 300
        try:
            answer = json.loads(text)
        except ValueError:
            if good:
                hint = self._endpoint.hint
                raise Transient(f"the answer is not JSON{hint}", lost=True) from None
            answer = text
        failed = status_inside(answer) if good else status
        if failed:
            raise self._endpoint.fault(failed, answer, headers, body)
        return answer

    async def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            await self.close()
            connector = (
                aiohttp.UnixConnector(self._socket, limit=0)
                if self._socket
                else aiohttp.TCPConnector(limit=0)
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S
                ),
                headers=self._endpoint.key.headers(),
                trust_env=not self._socket,
            )
            self._loop = loop
        return self._session
