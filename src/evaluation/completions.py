"""A model that continues a plain text, as a completions endpoint has it: no chat template.

The same text can be one message of a chat instead: hosted models know nothing else, and
`eval.as_chat` asks our own engines so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from config.errors import ConfigError
from config.roles import Role
from src.dialog.views.participants import Participant
from src.inference_providers.base import ChatMessage, Completion, GaveUp, Provider
from src.setup import build_participant, load_tokenizer, more_stop_ids
from src.tokens.text_codec import TextCodec


def until(text: str, stops: Sequence[str]) -> str:
    """The text before the first of these that it says, without blanks around it."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found, default=len(text))].strip()


class TextModel:
    """Continues texts up to their stops."""

    def __init__(self, role: Role, provider: Provider, *, as_chat: bool = False) -> None:
        self._codec: TextCodec | None = None
        tokenizer = load_tokenizer(role.model, role.setting) if provider.gives_tokens else None
        self.participant: Participant = build_participant(
            role, provider, tokenizer, templated=as_chat
        )
        renderer = self.participant.renderer
        self._stop_ids = renderer.stop_token_ids if renderer is not None else ()
        users = renderer.needs_user_first if renderer is not None else role.model.use_gemini
        self._speaker: ChatMessage = {"role": "user" if users else "system", "content": ""}
        if tokenizer is not None and not as_chat:
            try:
                self._codec = TextCodec(tokenizer)
            except ValueError as error:
                setting = f"{role.setting}.model_name_or_path"
                raise ConfigError(f"{setting}: {error}") from None
            self._begin = tuple(tokenizer("")["input_ids"])  # what begins each text of this model
            ends = [tokenizer.eos_token_id, *more_stop_ids(role.model, role.setting)]
            self._stop_ids = tuple(dict.fromkeys(i for i in ends if i is not None))

    async def continued(
        self, text: str, stops: Sequence[str], *, max_tokens: int, seed: int
    ) -> Completion:
        """What comes after this text, up to a stop.  Raises GaveUp where it leaves no room."""
        participant, renderer = self.participant, self.participant.renderer
        sampling = replace(
            participant.sampling(max_tokens=max_tokens, seed=seed),
            stop_token_ids=self._stop_ids,
            stop=tuple(stops),
        )
        message: ChatMessage = {**self._speaker, "content": text}
        if renderer is not None:
            ids, opening = renderer.prompt([message]), renderer.opening
        elif self._codec is not None:
            ids, opening = [*self._begin, *self._codec.encode(text, continues=False)], ""
        else:
            answer = await participant.answer([message], sampling)
            return replace(answer, text=until(answer.text, stops))
        room = participant.context_length - len(ids)
        if room <= 0:
            raise GaveUp(f"a prompt of {len(ids)} of {participant.context_length} tokens")
        answer = await participant.continue_ids(
            ids, replace(sampling, max_tokens=min(max_tokens, room))
        )
        said = answer.text
        if self._codec is not None and answer.token_ids is not None:
            said = self._codec.decode(answer.token_ids)
        return replace(answer, text=opening + until(said, stops))
