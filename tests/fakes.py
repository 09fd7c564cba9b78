"""A chat renderer over bytes: what tests of the classroom put in place of a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from src.dialog.views.participants import Participant
from src.inference_providers.base import ChatMessage
from src.inference_providers.scripted import ByteCodec, ScriptedProvider
from utils.thinking import TAGGED

SYSTEM, USER, ASSISTANT, END = 256, 257, 258, 259
_ROLES = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}


class ByteRenderer(ByteCodec):
    """ROLE bytes END ROLE bytes END … ASSISTANT; nothing that is written can forge a marker."""

    stop_token_ids: tuple[int, ...] = (END,)
    needs_user_first = False
    thinking = TAGGED
    opening = thought_end = ""

    def prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        ids: list[int] = []
        for message in messages:
            ids += [_ROLES[message["role"]], *self.encode(message["content"]), END]
        return [*ids, ASSISTANT]

    def reply(self, text: str, last_ids: Sequence[int]) -> list[int]:
        close = [] if list(last_ids[-1:]) == [END] else [END]
        return [*close, USER, *self.encode(text), END, ASSISTANT]

    def markup(self, text: str) -> list[int]:
        return self.encode(text)


def as_text(ids: Sequence[int]) -> str:
    """A prompt to be read: roles are <s> and <u>, other marks |."""
    marks = {SYSTEM: "<s>", USER: "<u>"}
    return "".join(marks.get(i, chr(i) if i < 256 else "|") for i in ids)


def participant(role: str, provider: ScriptedProvider, **changes: Any) -> Participant:
    values: dict[str, Any] = {
        "role": role,
        "provider": provider,
        "context_length": 100_000,
        "temperature": 1.0,
        "renderer": ByteRenderer(),
    }
    return Participant(**(values | changes))
