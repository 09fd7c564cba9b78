"""The tutor's seat: the classroom asks for a turn, the exchange of verifiers answers it."""

from __future__ import annotations

from collections.abc import Sequence

import verifiers.v1 as vf
from verifiers.v1.agent import Interaction

from src.inference_providers.base import ChatMessage, Completion, GaveUp, ProviderError, Sampling


class TutorState(vf.State):
    """What the harness must know of a turn beside its messages."""

    max_tokens: int = 0  # of the next turn; a limit of the run's own sampling wins


class Seat:
    """One conversation's tutor, as the classroom's provider.

    The classroom only ever appends to the tutor's view, so each request holds the messages that the
    exchange has, and new ones after them.
    """

    gives_tokens = False

    def __init__(self, exchange: Interaction, name: str) -> None:
        self.name = name
        self._exchange = exchange
        self._known = 0  # messages that the exchange already holds

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        trace = self._exchange.trace
        trace.state.max_tokens = sampling.max_tokens
        segment = await self._exchange.turn([dict(m) for m in messages[self._known :]])
        if segment.terminated:
            why = trace.last_error.message if trace.last_error else trace.stop_condition
            raise GaveUp(f"the tutor's exchange is over: {why}")
        self._known = len(messages) + 1
        call = trace.calls[-1]
        return Completion(
            text=trace.assistant_messages[-1].content or "",
            stop_reason="length" if call.finish_reason == "length" else "stop",
            prompt_tokens=call.usage.input_tokens if call.usage else 0,
            completion_tokens=call.usage.completion_tokens if call.usage else 0,
        )

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        raise ProviderError("the tutor of a verifiers run reads messages, not token ids")

    async def close(self) -> None:
        """Nothing to give back: the exchange belongs to the episode."""
