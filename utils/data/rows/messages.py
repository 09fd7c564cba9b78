"""Lists of chat messages as datasets write them: verl and TRL (`role`, `content`), ShareGPT
(`from`, `value`), contents in parts, JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utils.data.rows.bad_rows import BadRow
from utils.data.rows.cells import structured, text_of

_ROLES = {
    "human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant",
    "bard": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
_KEYS = (("role", "content"), ("from", "value"))


def message_list(value: Any) -> list[dict[str, Any]] | None:
    """[{role, content}, ...] for a list of messages in any dress; None for anything else.

    Raises BadRow where only some of a list are messages, or one holds more than text.
    """
    if isinstance(value, str):
        value = structured(value.strip())
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return None
    right = [isinstance(entry, Mapping) and _keys(entry) is not None for entry in value]
    if not any(right):
        return None
    if not all(right):
        number = right.index(False) + 1
        raise BadRow("malformed", f"message {number} has no role and content")
    return [_message(entry) for entry in value]


def _keys(message: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((keys for keys in _KEYS if set(keys) <= message.keys()), None)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role_key, content_key = _keys(message) or _KEYS[0]
    role, content = message[role_key], message[content_key]
    role = _ROLES.get(role.lower(), role.lower()) if isinstance(role, str) else role
    if isinstance(content, list):
        content = "".join(_part(part) for part in content)
    return {"role": role, "content": content}


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and part.get("type", "text") == "text" and "text" in part:
        return str(part["text"] or "")
    kind = part.get("type", "something") if isinstance(part, Mapping) else type(part).__name__
    raise BadRow("with more than text", f"a message holds {kind}, not text alone")


def problem_text(value: Any) -> str:
    """The text of a problem: the one user message where the cell is a list of messages.

    Raises BadRow, also for several user messages: which one is the problem cannot be told.
    """
    messages = message_list([value] if isinstance(value, Mapping) else value)
    if messages is None:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            return value[0].strip()
        if isinstance(value, Mapping | list):
            raise BadRow("with a malformed problem", f"not a text, but {describe(value)}")
        return text_of(value)
    said = [text_of(m["content"]) for m in messages if m["role"] == "user"]
    said = [text for text in said if text]
    if len(said) != 1:
        raise BadRow(
            "with a malformed problem", f"holds {len(said)} messages of a user; a problem is one"
        )
    return said[0]


def last_reply(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the assistant said last.  Raises BadRow where it said nothing."""
    said = [text_of(m["content"]) for m in messages if m["role"] == "assistant"]
    if not said:
        raise BadRow("without an answer", "no message of an assistant")
    return said[-1]


def describe(value: Any) -> str:
    """`a list of 3`, or `fields value, unit`: what a cell holds that should be one thing."""
    if isinstance(value, Mapping):
        return f"fields {', '.join(map(str, value))}" if value else "an empty object"
    return f"a list of {len(value)}" if value else "an empty list"
