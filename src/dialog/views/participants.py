"""Who takes part: a role's model, how it samples, and what renders its prompts."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from src.inference_providers.base import (
    ChatMessage,
    Completion,
    GaveUp,
    Provider,
    ProviderError,
    SamplesTogether,
    Sampling,
)
from src.together import gather_or_cancel
from utils.thinking import HOSTED, Thinking

T = TypeVar("T")


class Renderer(Protocol):
    """What a token view needs of `src.tokens.chat_template.ChatRenderer`."""

    stop_token_ids: tuple[int, ...]
    needs_user_first: bool
    thinking: Thinking  # what of the model's text is hidden from the others
    opening: str  # what the generation prompt already wrote of the turn: an unclosed <think>
    thought_end: str  # what ends that thinking where an answer has to come without any

    def prompt(self, messages: Sequence[ChatMessage]) -> list[int]: ...
    def reply(self, text: str, last_ids: Sequence[int]) -> list[int]: ...
    def markup(self, text: str) -> list[int]: ...
    def encode(self, text: str) -> list[int]: ...


@dataclass(slots=True)
class Attendance:
    """How often a model has answered, and why its last request that failed did."""

    answers: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A role's model and how it samples; every conversation opens its own view on it."""

    role: str
    provider: Provider
    context_length: int
    temperature: float
    top_p: float = 1.0
    top_k: int = 0
    renderer: Renderer | None = None  # None: a hosted model, spoken to in messages
    setting: str = ""  # the key that names the model, where it is not `ROLE_model`
    attendance: Attendance = field(default_factory=Attendance, compare=False)

    @property
    def thinking(self) -> Thinking:
        """What of this model's text nobody else may see."""
        return self.renderer.thinking if self.renderer is not None else HOSTED

    async def continue_ids(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Ask the model by token ids."""
        return await self._heard(self.provider.complete_tokens(ids, sampling))

    @property
    def samples_together(self) -> bool:
        """Whether several samples of one prompt are one request."""
        return isinstance(self.provider, SamplesTogether)

    async def continue_samples(
        self, ids: Sequence[int], samplings: Sequence[Sampling]
    ) -> list[Completion]:
        """A sample for each of these, which differ in nothing but their seeds.

        One request where `samples_together`: then the seeds are s, s + 1, ...
        """
        if len(samplings) > 1 and isinstance(self.provider, SamplesTogether):
            asked = self.provider.complete_samples(ids, samplings[0], len(samplings))
            return await self._heard(asked)
        return await gather_or_cancel([self.continue_ids(ids, each) for each in samplings])

    async def answer(self, messages: Sequence[ChatMessage], sampling: Sampling) -> Completion:
        """Ask the model by chat messages."""
        return await self._heard(self.provider.complete_messages(messages, sampling))

    async def _heard(self, asked: Awaitable[T]) -> T:
        try:
            answer = await asked
        except GaveUp as error:
            self.attendance.failure = str(error)
            raise
        self.attendance.answers += 1
        return answer

    def refuse_silence(self) -> None:
        """Raise ProviderError if the model was asked and has never once answered."""
        if self.attendance.failure and not self.attendance.answers:
            setting = self.setting or f"{self.role}_model"
            raise ProviderError(
                f"{setting}: {self.provider.name} has never once answered; "
                f"the last time: {self.attendance.failure}"
            )

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
