"""A person as a provider: asked in chat messages like a hosted model, one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from src.inference_providers.base import ChatMessage, Completion, ProviderError, Sampling

HUMAN = "human"  # the name of such a model, in records and settings


class HumanProvider:
    """Whoever sits behind `ask`, which is given the messages and gives the answer's text.

    Words are counted as tokens, since a person has none.  `ask` may raise: it is the caller's.
    """

    gives_tokens = False

    def __init__(self, ask: Callable[[Sequence[ChatMessage]], Awaitable[str]]) -> None:
        self.name = HUMAN
        self._ask = ask
        self._one_at_a_time = asyncio.Lock()

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        async with self._one_at_a_time:
            text = await self._ask(messages)
        return Completion(text=text, stop_reason="stop", completion_tokens=len(text.split()))

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        raise ProviderError("a person reads messages, not token ids")

    async def close(self) -> None:
        """Nothing to give back."""
