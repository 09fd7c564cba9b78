"""Who takes part: a role's model, how it samples, and the view it opens on a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from src.inference_providers.base import ChatMessage, Provider, Sampling
from src.message_view import MessageView
from src.token_view import Renderer, TokenView
from src.view import View


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
