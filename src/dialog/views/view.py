"""What a role sees of a conversation: the interface, and what both kinds of view share.

A view is append-only: what a role has read and said stays as it was, so the engine's prefix cache
serves every turn, and the tutor's ledger is its training row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from src.inference_providers.base import Completion, Sampling
from utils.records import Trajectory
from utils.seeding import sample_seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a role said.  `content` has the prefilled opening; ids and logprobs have not."""

    content: str
    stop_reason: Literal["stop", "length"]
    tokens: int
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Words given to an answer that lacks its end, from which it goes on a little."""

    text: str
    is_missing: Callable[[str], bool]  # of what others see of the answer
    max_tokens: int = 16


class View(Protocol):
    """One role's view of one conversation."""

    def hear(self, speaker: str, text: str) -> None:
        """This speaker said this; it is read at the next `say` or `aside`."""

    def replay(self, turn: Turn) -> None:
        """Take over a turn that this role has said in a twin conversation."""

    def speak(self, text: str) -> Turn:
        """Take a turn whose words are given."""

    def room(self, prefill: str = "") -> int:
        """Tokens that may still be sampled, after `prefill`, before the context is full."""

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


def as_heard(speaker: str, text: str, labels: Mapping[str, str]) -> str:
    """What a role reads of another's message: with a name before it where several may speak."""
    return f"{labels[speaker]}: {text}" if speaker in labels else text


def together(heard: Sequence[str]) -> str:
    """What was heard, as one message: an empty one adds nothing to the others."""
    return "\n\n".join(text for text in heard if text.strip())


def turn_of(completion: Completion, prefill: str) -> Turn:
    return Turn(
        content=prefill + completion.text,
        stop_reason=completion.stop_reason,
        tokens=completion.completion_tokens,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
    )


def joined(answer: Completion, ending: str, more: Completion) -> Completion:
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


def each_seeded(sampling: Sampling, seed: int, n: int, *, together: bool = False) -> list[Sampling]:
    """The samplings of n samples, each with its own seed; `together`: of one request."""
    return [replace(sampling, seed=one) for one in sample_seeds(seed, n, together=together)]
