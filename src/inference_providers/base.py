"""The protocol between the classroom and whoever generates text.

Two calls: from chat messages (hosted models), and from token ids (our own engines, where every
prompt is ids that we rendered ourselves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from config.errors import RunError


class ChatMessage(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample one completion.  `top_k` 0 and `top_p` 1.0 are off."""

    temperature: float
    max_tokens: int
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()  # texts that end an answer; an engine may leave them in it or not
    json_schema: dict[str, Any] | None = field(default=None, hash=False)
    logprobs: bool = False  # ask for token ids and their logprobs (after temperature)
    priority: int = 0  # of requests that wait for one of our engines, the lowest go first


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back.

    `token_ids` holds every sampled id, the end-of-turn token among them where the model sampled
    it; `logprobs` has the same length.  Both are None for providers that give no ids.
    """

    text: str
    stop_reason: Literal["stop", "length"]
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class ProviderError(RunError):
    """The run cannot go on: bad key, unknown model, dead engine, cap reached.  One line."""


class GaveUp(RuntimeError):
    """One request failed for good after its bounded retries; the conversation is lost, not the
    run."""


class Provider(Protocol):
    """One model, ready to be asked.  Calls are independent and may run concurrently."""

    name: str  # model id, for records and errors
    gives_tokens: bool  # whether `complete_tokens` works

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue these ids."""
        ...

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        """Answer this chat."""
        ...

    async def close(self) -> None:
        """Give back connections; idempotent."""
        ...


@runtime_checkable
class SamplesTogether(Protocol):
    """A provider that takes n samples of one prompt in one request."""

    async def complete_samples(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """Sample i is what `complete_tokens` gives with seed `sampling.seed + i`."""
        ...
