"""What an endpoint turns out not to take, and what is sent instead: found once, kept for the run.

Sources: the refusals that reasoning models, Gemini, Bedrock and vLLM answer with (status 400 or
422), as their users report them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from src.inference_providers.base import ChatMessage

SYSTEM_ROLE = "the system role"
TOKEN_LIMIT, ITS_OTHER_NAME = "max_tokens", "max_completion_tokens"
_NEEDED = {"model", "messages", ITS_OTHER_NAME}  # nothing can be asked without
_JOINT = "\n\n"

_CALLED = {  # by words of its own, or by its name, which is no common word
    "response_format": r"response_?format|json.?(?:schema|mode)|structured.?out|guided|grammar",
    TOKEN_LIMIT: r"\bmax_?(?:output_?)?tokens\b",
    ITS_OTHER_NAME: r"\bmax_?completion_?tokens\b",
    "temperature": r"\btemperature\b",
    "top_p": r"\btop_?p\b",
    "top_k": r"\btop_?k\b",
    "seed": r"\bseed\b",
}
_SYSTEM = re.compile(
    r"\b(?:system|developer)\b[^.]{0,40}\b(?:role|instruction|message|prompt)"
    r"|\broles?\b[^.]{0,60}\b(?:system|developer|alternate)\b|should be ['\"`]user['\"`] or|"
    r"does not support ['\"`]?(?:system|developer)",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(
    r"too (?:large|high|big|small|low)|exceed|at (?:most|least)|between|below|minimum", re.I
)
_THIS_PROMPT = re.compile(
    r"context.{0,12}(?:length|window|size|holds|limit)|\btoo (?:long|many)\b|reduce (?:the|your)\b"
    r"|prompt.{0,40}exceed|content.?(?:filter|policy|management)|moderation|safety|flagged"
    r"|responsible.?ai|harmful|inappropriate|usage polic",
    re.IGNORECASE,
)


def about_this_prompt(message: str) -> bool:
    """Whether a refusal is of what was said, its length or its content, not of how it was asked."""
    return _THIS_PROMPT.search(message) is not None


def refused_fields(message: str, param: str, sent: dict[str, Any]) -> frozenset[str]:
    """Which fields of the request a refusal speaks of; `param` is where the endpoint names one.

    The system role is one of them.  Empty where none is named.
    """
    has_system = any(m["role"] == "system" for m in sent["messages"])
    named = re.split(r"[.\[]", param)[0]
    if has_system and (named in ("", "messages")) and _SYSTEM.search(message):
        return frozenset({SYSTEM_ROLE})
    if named in sent:
        return frozenset({named})
    found = {name for name in sent if _called(name).search(message)}
    if {"temperature", "top_p"} <= found:  # one of them may stay
        found -= {"temperature"}
    return frozenset(found)


def can_do_without(field: str, message: str) -> bool:
    """Whether the request keeps its sense without the field, or with what stands in for it."""
    return field not in _NEEDED and not (field == TOKEN_LIMIT and _TOO_MUCH.search(message))


def adapted(body: dict[str, Any], refused: Collection[str]) -> dict[str, Any]:
    """The body as the endpoint takes it."""
    fields = {k: v for k, v in body.items() if k not in refused}
    if TOKEN_LIMIT in refused and TOKEN_LIMIT in body:
        fields[ITS_OTHER_NAME] = body[TOKEN_LIMIT]
    if SYSTEM_ROLE in refused:
        fields["messages"] = without_system(body["messages"])
    return fields


def what_is_done(field: str) -> str:
    """How a note tells of an adaptation."""
    if field == TOKEN_LIMIT:
        return f"sends {ITS_OTHER_NAME} instead of {TOKEN_LIMIT}"
    if field == SYSTEM_ROLE:
        return f"puts the system text into the first user message, without {SYSTEM_ROLE}"
    return f"goes on without {field}"


def without_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages with system texts at the head of the first user message."""
    system = [m["content"] for m in messages if m["role"] == "system"]
    rest = [m for m in messages if m["role"] != "system"]
    if rest and rest[0]["role"] == "user":
        system.append(rest[0]["content"])
        rest = rest[1:]
    return [{"role": "user", "content": _JOINT.join(system)}, *rest]


def _called(name: str) -> re.Pattern[str]:
    quoted = rf"['\"`]{re.escape(name)}['\"`]"
    return re.compile(_CALLED.get(name, quoted), re.IGNORECASE)
