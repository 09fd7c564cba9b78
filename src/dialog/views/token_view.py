"""A role's view in token ids, on one of our own engines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from src.dialog.views.participants import Participant, Renderer
from src.dialog.views.trajectory import TokenLedger
from src.dialog.views.view import Ending, Turn, as_heard, each_seeded, joined, together, turn_of
from src.inference_providers.base import ChatMessage, Completion, ProviderError, Sampling
from src.together import gather_or_cancel
from utils.records import Trajectory


class TokenView:
    """A view on one of our own engines: a ledger of ids.

    What is heard before the role has spoken belongs to the prompt: a template's reply closes a
    turn of the role's own, which is not there yet.
    """

    def __init__(
        self,
        participant: Participant,
        renderer: Renderer,
        messages: Sequence[ChatMessage],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._participant, self._renderer = participant, renderer
        self._labels = labels or {}
        self._messages = list(messages)
        self._ledger: TokenLedger | None = None  # until the role speaks
        self._heard: list[str] = []

    def __len__(self) -> int:
        return len(self._next(self._heard))

    def room(self, prefill: str = "") -> int:
        given = bool(prefill) and not self._renderer.opening
        taken = len(self) + (len(self._renderer.markup(prefill)) if given else 0)
        return self._participant.context_length - taken

    def hear(self, speaker: str, text: str) -> None:
        self._heard.append(as_heard(speaker, text, self._labels))

    def _next(self, heard: Sequence[str]) -> list[int]:
        """Ids up to the role's next turn, in a list of their own."""
        text = together(heard)
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

    def speak(self, text: str) -> Turn:
        thought = self._renderer.thought_end if self._renderer.opening else ""
        ids = (
            *(self._renderer.markup(thought) if thought else ()),
            *self._renderer.encode(text),
            *self._renderer.stop_token_ids[:1],
        )
        turn = Turn(content=text, stop_reason="stop", tokens=0, token_ids=ids, logprobs=None)
        self.replay(turn)
        return turn

    async def say(
        self, *, max_tokens: int, seed: int, prefill: str = "", logprobs: bool = False
    ) -> tuple[Turn, Completion]:
        ledger = self._read()
        if self._renderer.opening:
            prefill = self._renderer.opening  # it stands in the ledger already
        elif prefill:
            ledger.give(self._renderer.markup(prefill))
        sampling = self._participant.sampling(
            max_tokens=min(max_tokens, self.room()), seed=seed, logprobs=logprobs
        )
        completion = await self._participant.continue_ids(ledger.ids, sampling)
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
        return turn_of(completion, prefill), completion

    def _broken(self, what: str) -> ProviderError:
        return ProviderError(
            f"{self._participant.role} ({self._participant.provider.name}): {what}"
        )

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
            ids += self._renderer.markup(self._renderer.thought_end)
            opening = ""
        room = self._participant.context_length - len(ids)
        if room <= 0:
            return [Completion(text="", stop_reason="length") for _ in range(n)]
        # Who has the longest way to go is served first: turns, then verdicts, then solutions.
        sampling = self._participant.sampling(
            max_tokens=min(max_tokens, room),
            seed=seed,
            json_schema=json_schema,
            priority=1 if json_schema is not None else 2,
        )

        async def ended(answer: Completion, each: Sampling) -> Completion:
            shown = self._participant.thinking.visible(opening + answer.text)
            if ending is not None and ending.is_missing(shown):
                said = [t for t in answer.token_ids or () if t not in each.stop_token_ids]
                given = [*ids, *said, *self._renderer.markup(ending.text)]
                if len(given) + ending.max_tokens <= self._participant.context_length:
                    short = replace(each, max_tokens=ending.max_tokens)
                    more = await self._participant.continue_ids(given, short)
                    answer = joined(answer, ending.text, more)
            return replace(answer, text=opening + answer.text)

        together = self._participant.samples_together
        samplings = each_seeded(sampling, seed, n, together=together)
        answers = await self._participant.continue_samples(ids, samplings)
        return await gather_or_cancel(list(map(ended, answers, samplings)))

    def trajectory(self) -> Trajectory | None:
        return self._ledger.trajectory() if self._ledger is not None else None
