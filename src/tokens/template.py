"""The text that a chat template writes around messages, by rendering it with placeholders.

Sequences of roles are written as strings of `s` (system), `u` (user) and `a` (assistant).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from itertools import takewhile
from typing import Any

from jinja2 import TemplateError

WORDS = {"s": "system", "u": "user", "a": "assistant"}
DATES = (datetime(2024, 7, 26), datetime(2001, 1, 1))  # the first for every prompt: same run,
# same prompts, whatever the day; the second only to see whether the template asks
_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError)
_MARKER = r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]"  # what looks like one, should no token say so


class Refused(Exception):
    """The template does not render a sequence of roles as it should; the reason in words."""


class Template:
    """The text that a chat template writes around messages."""

    def __init__(self, tokenizer: Any, options: Mapping[str, Any]) -> None:
        self._tokenizer, self._options = tokenizer, dict(options)
        self._key = f"m{secrets.token_hex(8)}n"  # nothing that a template could look for
        tokens = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._markers = re.compile("|".join([*map(re.escape, tokens), _MARKER]))
        self.parts = False  # contents as a list of typed parts, as vision models want them

    def pieces(self, roles: str, *, opens: bool = True) -> list[str]:
        """The len(roles) + 1 texts around the messages; `opens`: up to an assistant's turn."""
        marks = self._marks(roles)
        text, pieces = self.render(list(zip(roles, marks, strict=True)), opens), []
        for role, mark in zip(roles, marks, strict=True):
            before, found, text = text.partition(mark)
            if not found or mark in text:
                how = "writes twice" if found else "silently drops or moves"
                raise Refused(f"it {how} the {WORDS[role]} message")
            pieces.append(before)
        return [*pieces, text]

    def render(self, turns: list[tuple[str, str]], opens: bool, date: datetime = DATES[0]) -> str:
        """The template's text for these (role, content)."""
        messages = [{"role": WORDS[r], "content": self._content(c)} for r, c in turns]
        return self._render(messages, opens, {"strftime_now": date.strftime} | self._options)

    def assistant_turn(self, fields: Mapping[str, object], options: Mapping[str, Any]) -> str:
        """All that is written after a user's message for an assistant's of these fields.

        `options` win over the template's own.
        """
        user = self._marks("u")[0]
        messages = [{"role": "user", "content": self._content(user)}]
        answer = {"role": "assistant", **fields}
        if isinstance(answer["content"], str):
            answer["content"] = self._content(answer["content"])
        options = {"strftime_now": DATES[0].strftime, **self._options, **options}
        return self._render([*messages, answer], False, options).partition(user)[2]

    def refusal(self, roles: str) -> str | None:
        """Why this sequence does not render up to an assistant's turn, or None."""
        try:
            self.pieces(roles)
        except Refused as error:
            return str(error)
        return None

    def order(self, roles: str) -> list[int]:
        """Places of the messages in the order in which the template writes them, if it does."""
        marks = self._marks(roles)
        text = self.render(list(zip(roles, marks, strict=True)), True)
        return sorted(
            (i for i, m in enumerate(marks) if m in text), key=lambda i: text.find(marks[i])
        )

    def beyond(self, text: str, other: str) -> str:
        """The text from where it differs from the other one; no marker is cut in two."""
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False))
        same = sum(1 for _ in alike)
        if same == len(text):
            return ""
        cut = (m.start() for m in self._markers.finditer(text) if m.start() < same < m.end())
        return text[next(cut, same) :]

    def _marks(self, roles: str) -> list[str]:
        return [f"{self._key}{i}x" for i in range(len(roles))]

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.parts else text

    def _render(self, messages: list[Any], opens: bool, options: Mapping[str, Any]) -> str:
        try:
            return self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=opens, **options
            )
        except _ERRORS as error:
            raise Refused(f"it says '{' '.join(str(error).split())}'") from error
