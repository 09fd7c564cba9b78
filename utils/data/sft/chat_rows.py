"""What a row of tutoring conversation must be: checked before anything is trained.

The tutor speaks as the assistant, the student as the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from utils.data.rows.bad_rows import BadRow
from utils.data.rows.escapes import repaired
from utils.data.rows.messages import message_list

ROLES = ("system", "user", "assistant")
MESSAGES, PAIR = ("messages",), ("prompt", "chosen", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRow:
    """One conversation.  `opening` stands for the user where a chat template demands one first."""

    messages: tuple[dict[str, str], ...]
    opening: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """Two continuations of one prompt, the first one better; each begins with the tutor."""

    prompt: tuple[dict[str, str], ...]
    chosen: tuple[dict[str, str], ...]
    rejected: tuple[dict[str, str], ...]
    opening: str = ""


def read_chat(row: Mapping[str, Any]) -> ChatRow:
    """The conversation of a row with the column `messages`.  Raises BadRow."""
    messages = read_messages(row["messages"])
    if messages[-1]["role"] != "assistant":
        raise BadRow("ends with the student", "the conversation ends with the student")
    return ChatRow(messages=messages, opening=str(row.get("opening") or ""))


def read_pair(row: Mapping[str, Any]) -> PairRow:
    """The pair of a row with the columns `prompt`, `chosen` and `rejected`.  Raises BadRow."""
    prompt = as_messages(row["prompt"], "prompt") if row["prompt"] else ()
    if any(message["role"] == "assistant" for message in prompt):
        raise BadRow("malformed", "prompt: holds a tutor's message")
    sides = []
    for side in ("chosen", "rejected"):
        messages = as_messages(row[side], side)
        if not messages or messages[0]["role"] != "assistant":
            raise BadRow("malformed", f"{side}: does not begin with the tutor (assistant)")
        whole = read_messages([*prompt, *messages], side)
        if whole[-1]["role"] != "assistant":
            raise BadRow("ends with the student", f"{side}: ends with the student")
        sides.append(whole[len(whole) - len(messages) :])
    if sides[0] == sides[1]:
        raise BadRow("equal sides", "chosen and rejected are the same conversation")
    opening = str(row.get("opening") or "")
    return PairRow(prompt=prompt, chosen=sides[0], rejected=sides[1], opening=opening)


def as_messages(value: Any, what: str = "messages") -> tuple[dict[str, str], ...]:
    """A list of messages in any dress, also as JSON text.  Raises BadRow for anything else."""
    found = message_list(value)
    if found is None:
        raise BadRow("malformed", f"{what}: not a list of messages with role and content")
    messages = []
    for number, message in enumerate(found, 1):
        role, content = message["role"], message["content"]
        if role not in ROLES:
            expected = ", ".join(ROLES)
            raise BadRow(
                "unexpected role",
                f"{what}: message {number} has the role {role!r}, expected {expected}",
            )
        if not isinstance(content, str) or not content.strip():
            raise BadRow("empty message", f"{what}: message {number} has no text")
        messages.append({"role": role, "content": repaired(content).strip()})
    return tuple(messages)


def read_messages(value: Any, what: str = "messages") -> tuple[dict[str, str], ...]:
    """Messages in an order that can be trained on: one system message at most, first; a tutor's
    turn; never two tutor's turns in a row.  Raises BadRow.
    """
    messages = as_messages(value, what)
    for number, message in enumerate(messages[1:], 2):
        role, before = message["role"], messages[number - 2]["role"]
        if role == "system":
            raise BadRow("malformed", f"{what}: message {number} is a system message, not first")
        if role == before == "assistant":
            raise BadRow(
                "two tutor turns in a row", f"{what}: messages {number - 1} and {number} are both"
                " the tutor's",
            )  # fmt: skip
    if all(message["role"] != "assistant" for message in messages):
        raise BadRow("no tutor turn", f"{what}: the tutor (assistant) says nothing")
    return messages
