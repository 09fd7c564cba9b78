"""A role's own view of a conversation, in token ids (our engines) or in messages (hosted models).

A view is append-only: what a role has read and said stays as it was, so the engine's prefix cache
serves every turn, and the tutor's ledger is its training row.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from src.inference_providers.base import ChatMessage, Completion, Provider, ProviderError, Sampling
from src.trajectory import TokenLedger
from utils.records import Trajectory
from utils.seeding import keyed_seed
from utils.thinking import THINK_CLOSE


class Renderer(Protocol):
    """What a view needs of `src.chat_template.ChatRenderer`."""

    stop_token_ids: tuple[int, ...]
    needs_user_first: bool
    opening: str  # what the generation prompt already wrote of the turn: an unclosed <think>

    def prompt(self, messages: Sequence[ChatMessage]) -> list[int]: ...
    def reply(self, text: str, last_ids: Sequence[int]) -> list[int]: ...
    def markup(self, text: str) -> list[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a role said.  `content` has the prefilled opening; ids and logprobs have not."""

    content: str
    stop_reason: Literal["stop", "length"]
    tokens: int
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A role's model and how it samples; every conversation opens its own view on it."""

    role: str
    provider: Provider
    context_length: int
    temperature: float
    top_p: float = 1.0
    top_k: int = 0
    renderer: Renderer | None = None  # None: a hosted model, spoken to in messages

    def sampling(self, *, max_tokens: int, seed: int, **more: Any) -> Sampling:
        stops = self.renderer.stop_token_ids if self.renderer else ()
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=max_tokens,
            seed=seed,
            stop_token_ids=stops,
            **more,
        )

    def open(self, messages: Sequence[ChatMessage]) -> View:
        """A fresh view that begins with these messages."""
        if self.renderer is None:
            return MessageView(self, messages)
        return TokenView(self, self.renderer, messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Words given to an answer that lacks its end, from which it goes on a little."""

    text: str
    is_missing: Callable[[str], bool]
    max_tokens: int = 16


class View(Protocol):
    """One role's view of one conversation."""

    def hear(self, text: str) -> None:
        """The other role said this; it is read at the next `say` or `aside`."""

    def replay(self, turn: Turn) -> None:
        """Take over a turn that this role has said in a twin conversation."""

    def room(self) -> int:
        """Tokens that may still be sampled before the context is full."""

    def __len__(self) -> int:
        """Tokens so far, as far as the provider tells."""

    async def say(
        self, *, max_tokens: int, seed: int, prefill: str = "", logprobs: bool = False
    ) -> tuple[Turn, Completion]:
        """Sample the next turn and keep it."""

    async def aside(
        self,
        text: str | None,
        *,
        n: int,
        max_tokens: int,
        seed: int,
        json_schema: dict[str, Any] | None = None,
        ending: Ending | None = None,
    ) -> list[Completion]:
        """n independent answers to `text` (or to what was heard last); the view stays as it is."""

    def trajectory(self) -> Trajectory | None:
        """The ledger as a training row; None where the provider gives no ids."""


def _turn(completion: Completion, prefill: str) -> Turn:
    return Turn(
        content=prefill + completion.text,
        stop_reason=completion.stop_reason,
        tokens=completion.completion_tokens,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
    )


def _joined(answer: Completion, ending: str, more: Completion) -> Completion:
    """An answer with its given ending and what was sampled after it; both are paid for."""
    return replace(
        more,
        text=answer.text + ending + more.text,
        prompt_tokens=answer.prompt_tokens + more.prompt_tokens,
        completion_tokens=answer.completion_tokens + more.completion_tokens,
        cost_usd=answer.cost_usd + more.cost_usd,
        token_ids=None,
        logprobs=None,
    )


class TokenView:
    """A view on one of our own engines: a ledger of ids.

    What is heard before the role has spoken belongs to the prompt: a template's reply closes a
    turn of the role's own, which is not there yet.
    """

    def __init__(self, seat: Seat, renderer: Renderer, messages: Sequence[ChatMessage]) -> None:
        self._seat, self._renderer = seat, renderer
        self._messages = list(messages)
        self._ledger: TokenLedger | None = None  # until the role speaks
        self._heard: list[str] = []

    def __len__(self) -> int:
        return len(self._next(self._heard))

    def room(self) -> int:
        return self._seat.context_length - len(self)

    def hear(self, text: str) -> None:
        self._heard.append(text)

    def _next(self, heard: Sequence[str]) -> list[int]:
        """Ids up to the role's next turn, in a list of their own."""
        text = "\n\n".join(heard)
        if self._ledger is None:
            said: list[ChatMessage] = [{"role": "user", "content": text}] if heard else []
            return self._renderer.prompt([*self._messages, *said])
        bridge = self._renderer.reply(text, self._ledger.ids[-1:]) if heard else []
        return self._ledger.ids + bridge

    def _read(self) -> TokenLedger:
        ids = self._next(self._heard)
        if self._ledger is None:
            self._ledger = TokenLedger(ids)
        else:
            self._ledger.give(ids[len(self._ledger) :])
        self._heard.clear()
        return self._ledger

    def replay(self, turn: Turn) -> None:
        if turn.token_ids is None:
            raise ValueError("a turn without token ids cannot be replayed in a token view")
        self._read().give(turn.token_ids)

    async def say(
        self, *, max_tokens: int, seed: int, prefill: str = "", logprobs: bool = False
    ) -> tuple[Turn, Completion]:
        ledger = self._read()
        if self._renderer.opening:
            prefill = self._renderer.opening  # it stands in the ledger already
        elif prefill:
            ledger.give(self._renderer.markup(prefill))
        sampling = self._seat.sampling(
            max_tokens=min(max_tokens, self.room()), seed=seed, logprobs=logprobs
        )
        completion = await self._seat.provider.complete_tokens(ledger.ids, sampling)
        ids, scores = completion.token_ids, completion.logprobs
        if ids is None:
            raise self._broken("no token ids came back")
        if not logprobs:
            ledger.give(ids)
        elif scores is None or len(scores) != len(ids):
            raise self._broken(f"{len(ids)} token ids came back with {len(scores or ())} logprobs")
        elif not all(map(math.isfinite, scores)):
            raise self._broken("a logprob is no number: its weights are broken")
        else:
            ledger.sample(ids, scores)
        return _turn(completion, prefill), completion

    def _broken(self, what: str) -> ProviderError:
        return ProviderError(f"{self._seat.role} ({self._seat.provider.name}): {what}")

    async def aside(
        self,
        text: str | None,
        *,
        n: int,
        max_tokens: int,
        seed: int,
        json_schema: dict[str, Any] | None = None,
        ending: Ending | None = None,
    ) -> list[Completion]:
        heard = [*self._heard, text] if text is not None else self._heard
        ids, opening = self._next(heard), self._renderer.opening
        if opening and json_schema is not None:
            # The schema constrains the answer itself: no planning can come before it.
            ids += self._renderer.markup(f"{THINK_CLOSE}\n\n")
            opening = ""
        room = self._seat.context_length - len(ids)
        if room <= 0:
            return [Completion(text="", stop_reason="length") for _ in range(n)]
        # Who has the longest way to go is served first: turns, then verdicts, then solutions.
        sampling = self._seat.sampling(
            max_tokens=min(max_tokens, room),
            seed=seed,
            json_schema=json_schema,
            priority=1 if json_schema is not None else 2,
        )

        async def one(each: Sampling) -> Completion:
            answer = await self._seat.provider.complete_tokens(ids, each)
            if ending is not None and ending.is_missing(answer.text):
                said = [t for t in answer.token_ids or () if t not in each.stop_token_ids]
                given = [*ids, *said, *self._renderer.markup(ending.text)]
                if len(given) + ending.max_tokens <= self._seat.context_length:
                    short = replace(each, max_tokens=ending.max_tokens)
                    more = await self._seat.provider.complete_tokens(given, short)
                    answer = _joined(answer, ending.text, more)
            return replace(answer, text=opening + answer.text)

        return await _independent(n, sampling, one)

    def trajectory(self) -> Trajectory | None:
        return self._ledger.trajectory() if self._ledger is not None else None


class MessageView:
    """A view on a hosted model: a list of chat messages."""

    def __init__(self, seat: Seat, messages: Sequence[ChatMessage]) -> None:
        self._seat = seat
        self._messages: list[ChatMessage] = list(messages)
        self._heard: list[str] = []
        self._tokens = 0

    def __len__(self) -> int:
        return self._tokens

    def room(self) -> int:
        return self._seat.context_length - self._tokens

    def hear(self, text: str) -> None:
        self._heard.append(text)

    def _read(self) -> None:
        if self._heard:
            self._messages.append({"role": "user", "content": "\n\n".join(self._heard)})
            self._heard.clear()

    def replay(self, turn: Turn) -> None:
        self._read()
        self._messages.append({"role": "assistant", "content": turn.content})

    async def say(
        self, *, max_tokens: int, seed: int, prefill: str = "", logprobs: bool = False
    ) -> tuple[Turn, Completion]:
        self._read()
        sampling = self._seat.sampling(max_tokens=min(max_tokens, self.room()), seed=seed)
        completion = await self._seat.provider.complete_messages(self._messages, sampling)
        self._messages.append({"role": "assistant", "content": completion.text})
        self._tokens = completion.prompt_tokens + completion.completion_tokens
        return _turn(completion, ""), completion

    async def aside(
        self,
        text: str | None,
        *,
        n: int,
        max_tokens: int,
        seed: int,
        json_schema: dict[str, Any] | None = None,
        ending: Ending | None = None,
    ) -> list[Completion]:
        messages = list(self._messages)
        heard = [*self._heard, text] if text is not None else self._heard
        if heard:
            messages.append({"role": "user", "content": "\n\n".join(heard)})
        sampling = self._seat.sampling(
            max_tokens=min(max_tokens, max(1, self.room())), seed=seed, json_schema=json_schema
        )

        async def one(each: Sampling) -> Completion:
            answer = await self._seat.provider.complete_messages(messages, each)
            if ending is not None and ending.is_missing(answer.text):
                opened: ChatMessage = {"role": "assistant", "content": answer.text + ending.text}
                short = replace(each, max_tokens=ending.max_tokens)
                more = await self._seat.provider.complete_messages([*messages, opened], short)
                answer = _joined(answer, ending.text, more)
            return answer

        return await _independent(n, sampling, one)

    def trajectory(self) -> Trajectory | None:
        return None


async def _independent(
    n: int, sampling: Sampling, ask: Callable[[Sampling], Awaitable[Completion]]
) -> list[Completion]:
    """n samples, each with its own seed and retried on its own."""
    each = [replace(sampling, seed=keyed_seed(sampling.seed, i)) for i in range(n)]
    return list(await asyncio.gather(*(ask(one) for one in each)))
