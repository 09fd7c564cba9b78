"""A provider that answers by rule: for tests, and for benchmarks of the classroom itself.

What it answers depends on the request and its own seed and on nothing else: not on who asked
before, nor on how many ask at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from src.inference_providers.base import ChatMessage, Completion, Sampling
from src.inference_providers.concurrency import AdaptiveLimit
from utils.seeding import keyed_rng

_WORDS = "look at the first step again what if we add both and try two".split()  # noqa: SIM905
_WORDS += [f"\\boxed{{{n}}}" for n in range(3)]


class Codec(Protocol):
    """Text to ids and back, as a chat renderer does it."""

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...


class ByteCodec:
    """One id per UTF-8 byte; ids from 256 on (end-of-turn and the like) have no text."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, as an answer function sees it.

    `text` is the prompt decoded, or the contents of the messages, a line each.
    """

    text: str
    sampling: Sampling
    prompt_ids: tuple[int, ...] | None = None
    messages: tuple[ChatMessage, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Log-normal seconds per call (`sigma` of the logarithm), plus seconds per token."""

    median_s: float
    sigma: float = 0.5
    per_token_s: float = 0.0


class ScriptedProvider:
    """Answers with `answer(ask)`, or with seeded babble where there is no function.

    An answer longer than `max_tokens` is cut there ("length"); otherwise the first stop id, if
    the request names any, is sampled after it.  Logprobs are made up, and as repeatable as the
    rest.  `slots` bounds the calls served at a time (0: all).  An exception that `answer` raises
    is the caller's.
    """

    gives_tokens = True

    def __init__(
        self,
        answer: Callable[[Ask], str] | None = None,
        *,
        name: str = "scripted",
        seed: int = 0,
        codec: Codec | None = None,
        latency: Latency | None = None,
        slots: int = 0,
        words: tuple[int, int] = (5, 30),
    ) -> None:
        self.name, self.seed = name, seed
        self.calls: list[Ask] = []  # in order of arrival
        self.codec: Codec = codec or ByteCodec()
        self._answer = answer or self._babble
        self._latency, self._words = latency, words
        self._limit = AdaptiveLimit(slots) if slots else None

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        ids = tuple(prompt_ids)
        ask = Ask(text=self.codec.decode(ids), sampling=sampling, prompt_ids=ids)
        return await self._serve(ask, len(ids))

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        text = "\n".join(m["content"] for m in messages)
        ask = Ask(text=text, sampling=sampling, messages=tuple(messages))
        return await self._serve(ask, len(self.codec.encode(text)))

    async def close(self) -> None:
        """Nothing to give back."""

    async def _serve(self, ask: Ask, prompt_tokens: int) -> Completion:
        self.calls.append(ask)
        if self._limit is None:
            return await self._reply(ask, prompt_tokens)
        async with self._limit.slot():
            return await self._reply(ask, prompt_tokens)

    async def _reply(self, ask: Ask, prompt_tokens: int) -> Completion:
        ids, stopped = self._sampled(ask)
        if self._latency is not None:
            one, rng = self._latency, keyed_rng("latency", *self._address(ask))
            pause = one.median_s * rng.lognormvariate(0.0, one.sigma) + one.per_token_s * len(ids)
            await asyncio.sleep(pause)
        by_ids = ask.prompt_ids is not None
        rng = keyed_rng("logprobs", *self._address(ask))
        scores = tuple(-rng.expovariate(1.0) for _ in ids)
        has_stop = bool(stopped and ask.sampling.stop_token_ids)
        return Completion(
            text=self.codec.decode(ids[:-1] if has_stop else ids),
            stop_reason="stop" if stopped else "length",
            token_ids=ids if by_ids else None,
            logprobs=scores if by_ids and ask.sampling.logprobs else None,
            prompt_tokens=prompt_tokens,
            completion_tokens=len(ids),
        )

    def _sampled(self, ask: Ask) -> tuple[tuple[int, ...], bool]:
        """(ids, whether the turn ended by itself); as from an engine, never no id at all."""
        ids = tuple(self.codec.encode(self._answer(ask))) + ask.sampling.stop_token_ids[:1]
        if len(ids) > ask.sampling.max_tokens:
            return ids[: ask.sampling.max_tokens], False
        return ids, True

    def _address(self, ask: Ask) -> tuple[object, ...]:
        """What names a request: all that was asked, and the seed."""
        messages = ask.messages and [(m["role"], m["content"]) for m in ask.messages]
        return (self.seed, self.name, ask.prompt_ids, messages, ask.sampling)

    def _babble(self, ask: Ask) -> str:
        rng = keyed_rng("babble", *self._address(ask))
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(*self._words)))
