"""A model that continues a plain text, as a completions endpoint has it: no chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from config.errors import ConfigError
from config.roles import Role
from src.dialog.participants import Participant
from src.inference_providers.base import ChatMessage, Completion, GaveUp, Provider
from src.setup import load_tokenizer, more_stop_ids
from src.tokens.text_codec import TextCodec


def until(text: str, stops: Sequence[str]) -> str:
    """The text before the first of these that it says, without blanks around it."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found, default=len(text))].strip()


class TextModel:
    """Our own engines get the text's tokens, after what their tokenizer begins every text with.

    A hosted model knows chats only: the text is its one message, the system's, or the user's where
    the service (Gemini) wants one.
    """

    def __init__(self, role: Role, provider: Provider, tokenizer: Any | None = None) -> None:
        self._as_user = role.model.use_gemini
        self._codec: TextCodec | None = None
        self._stop_ids: tuple[int, ...] = ()
        model = role.model.vllm
        self.participant = Participant(
            role=role.name,
            provider=provider,
            context_length=model.max_length,
            temperature=model.temperature,
            top_p=model.top_p,
            top_k=max(0, model.top_k),
        )
        if provider.gives_tokens:
            tokenizer = tokenizer or load_tokenizer(role.model, role.setting)
            try:
                self._codec = TextCodec(tokenizer)
            except ValueError as error:
                setting = f"{role.setting}.model_name_or_path"
                raise ConfigError(f"{setting}: {error}") from None
            self._begin = tuple(tokenizer("")["input_ids"])
            ends = [tokenizer.eos_token_id, *more_stop_ids(role.model, role.setting)]
            self._stop_ids = tuple(dict.fromkeys(i for i in ends if i is not None))

    async def continued(
        self, text: str, stops: Sequence[str], *, max_tokens: int, seed: int
    ) -> Completion:
        """What comes after this text, up to a stop.  Raises GaveUp where it leaves no room."""
        sampling = replace(
            self.participant.sampling(max_tokens=max_tokens, seed=seed),
            stop_token_ids=self._stop_ids,
            stop=tuple(stops),
        )
        if self._codec is None:
            message: ChatMessage = {"role": "user" if self._as_user else "system", "content": text}
            answer = await self.participant.answer([message], sampling)
            return replace(answer, text=until(answer.text, stops))
        ids = [*self._begin, *self._codec.encode(text, continues=False)]
        room = self.participant.context_length - len(ids)
        if room <= 0:
            raise GaveUp(f"a prompt of {len(ids)} of {self.participant.context_length} tokens")
        answer = await self.participant.continue_ids(
            ids, replace(sampling, max_tokens=min(max_tokens, room))
        )
        said = answer.text if answer.token_ids is None else self._codec.decode(answer.token_ids)
        return replace(answer, text=until(said, stops))
