"""Opens a participant's view of a conversation: token ids on our own engines, else messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from src.dialog.views.message_view import MessageView
from src.dialog.views.participants import Participant
from src.dialog.views.token_view import TokenView
from src.dialog.views.view import View
from src.inference_providers.base import ChatMessage


def open_view(
    participant: Participant,
    messages: Sequence[ChatMessage],
    labels: Mapping[str, str] | None = None,
) -> View:
    """A fresh view that begins with these messages.

    `labels`: the name that stands before what a speaker says, where several others may speak.
    """
    if participant.renderer is None:
        return MessageView(participant, messages, labels)
    return TokenView(participant, participant.renderer, messages, labels)
