"""A role's view in chat messages, on a hosted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from src.dialog.views.participants import Participant
from src.dialog.views.view import Ending, Turn, as_heard, each_seeded, joined, together, turn_of
from src.inference_providers.base import ChatMessage, Completion, Sampling
from src.together import gather_or_cancel
from utils.records import Trajectory


class MessageView:
    """A view on a hosted model: a list of chat messages."""

    def __init__(
        self,
        participant: Participant,
        messages: Sequence[ChatMessage],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._participant, self._labels = participant, labels or {}
        self._messages: list[ChatMessage] = list(messages)
        self._heard: list[str] = []
        self._tokens = 0

    def __len__(self) -> int:
        return self._tokens

    def room(self, prefill: str = "") -> int:
        return self._participant.context_length - self._tokens

    def hear(self, speaker: str, text: str) -> None:
        self._heard.append(as_heard(speaker, text, self._labels))

    def _read(self) -> None:
        if self._heard:
            self._messages.append({"role": "user", "content": together(self._heard)})
            self._heard.clear()

    def replay(self, turn: Turn) -> None:
        self._read()
        self._messages.append({"role": "assistant", "content": turn.content})

    def speak(self, text: str) -> Turn:
        turn = Turn(content=text, stop_reason="stop", tokens=0, token_ids=None, logprobs=None)
        self.replay(turn)
        return turn

    async def say(
        self, *, max_tokens: int, seed: int, prefill: str = "", logprobs: bool = False
    ) -> tuple[Turn, Completion]:
        self._read()
        sampling = self._participant.sampling(max_tokens=min(max_tokens, self.room()), seed=seed)
        completion = await self._participant.answer(self._messages, sampling)
        self._messages.append({"role": "assistant", "content": completion.text})
        self._tokens = completion.prompt_tokens + completion.completion_tokens
        return turn_of(completion, ""), completion

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
            messages.append({"role": "user", "content": together(heard)})
        sampling = self._participant.sampling(
            max_tokens=min(max_tokens, max(1, self.room())), seed=seed, json_schema=json_schema
        )

        async def one(each: Sampling) -> Completion:
            answer = await self._participant.answer(messages, each)
            shown = self._participant.thinking.visible(answer.text)
            if ending is not None and ending.is_missing(shown):
                opened: ChatMessage = {"role": "assistant", "content": answer.text + ending.text}
                short = replace(each, max_tokens=ending.max_tokens)
                more = await self._participant.answer([*messages, opened], short)
                answer = joined(answer, ending.text, more)
            return answer

        return await gather_or_cancel([one(each) for each in each_seeded(sampling, seed, n)])

    def trajectory(self) -> Trajectory | None:
        return None
