"""What a chat template can do, found out by trying it on dummy conversations.

Sequences of roles are written as strings of `s` (system), `u` (user) and `a` (assistant).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from jinja2 import TemplateError

WORDS = {"s": "system", "u": "user", "a": "assistant"}
_DATES = (datetime(2024, 7, 26), datetime(2001, 1, 1))  # the first for every prompt: same run,
# same prompts, whatever the day; the second only to see whether the template asks
_THOUGHTS = (("<think>\n", "\n</think>\n\n"), ("<|channel>thought\n", "<channel|>"))
_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError)


class Refused(Exception):
    """The template does not render a sequence of roles as it should; the reason in words."""


class Template:
    """The text that a chat template writes around messages."""

    def __init__(self, tokenizer: Any, options: Mapping[str, Any]) -> None:
        self._tokenizer, self._options = tokenizer, dict(options)
        self._key = f"m{secrets.token_hex(8)}n"  # nothing that a template could look for
        self.parts = False  # contents as a list of typed parts, as vision models want them

    def pieces(self, roles: str, *, opens: bool = True) -> list[str]:
        """The len(roles) + 1 texts around the messages; `opens`: up to an assistant's turn."""
        marks = [f"{self._key}{i}x" for i in range(len(roles))]
        text, pieces = self.render(list(zip(roles, marks, strict=True)), opens), []
        for role, mark in zip(roles, marks, strict=True):
            before, found, text = text.partition(mark)
            if not found or mark in text:
                how = "writes twice" if found else "silently drops or moves"
                raise Refused(f"it {how} the {WORDS[role]} message")
            pieces.append(before)
        return [*pieces, text]

    def render(self, turns: list[tuple[str, str]], opens: bool, date: datetime = _DATES[0]) -> str:
        """The template's text for these (role, content)."""
        messages = [{"role": WORDS[r], "content": self._content(c)} for r, c in turns]
        options = {"strftime_now": date.strftime} | self._options
        try:
            return self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=opens, **options
            )
        except _ERRORS as error:
            raise Refused(f"it says '{' '.join(str(error).split())}'") from error

    def refusal(self, roles: str) -> str | None:
        """Why this sequence does not render up to an assistant's turn, or None."""
        try:
            self.pieces(roles)
        except Refused as error:
            return str(error)
        return None

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.parts else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What one template allows, and the text it writes between turns."""

    own_system: bool  # False: the system text goes into the first user message
    user_first: bool  # a conversation must begin with a user message
    joins: bool  # messages of one role in a row must be joined
    keeps_thinking: bool  # earlier thinking stays in the template's history
    closing: str  # from the end of an assistant's message to the next user message
    ending: str  # after the last assistant's message of a finished conversation
    header: str  # what opens an assistant's turn, whatever stands before it
    prefill: str  # added to it: what the history has before the message, and the model would write
    lead: str  # the white space that the model itself writes before its words, as in the history
    opening: str  # an unclosed <think> that header and prefill leave open
    notes: tuple[str, ...]  # what gives way


def probe(template: Template) -> Family:
    """Try the template out; raises Refused where no conversation can be carried."""
    notes: list[str] = []
    _choose_content(template, notes)
    own_system = _probe_system(template, notes)
    base = "s" if own_system else ""
    _refuse_unless(template, base + "uauau")
    joins = _probe_joins(template, base, notes)
    header = _header(template, base + "u")
    user_first = _probe_first(template, base, header, notes)
    closing = _stable_closing(template, base, user_first)
    prefill, lead, opening = _probe_opening(template, base, notes)
    keeps_thinking = _probe_thinking(template, notes)
    _probe_date(template, base, notes)
    return Family(
        own_system=own_system, user_first=user_first, joins=joins, keeps_thinking=keeps_thinking,
        closing=closing, ending=template.pieces(base + "ua", opens=False)[-1], header=header,
        prefill=prefill, lead=lead, opening=opening, notes=tuple(notes),
    )  # fmt: skip


def _refuse_unless(template: Template, roles: str) -> None:
    reason = template.refusal(roles)
    if reason:
        raise Refused(f"cannot carry the turns {'-'.join(WORDS[r] for r in roles)}: {reason}")


def _choose_content(template: Template, notes: list[str]) -> None:
    if template.refusal("u") is None:
        return
    template.parts = True
    if template.refusal("u") is not None:
        template.parts = False
        _refuse_unless(template, "u")
    notes.append("messages go in as lists of text parts, the only form it takes")


def _probe_system(template: Template, notes: list[str]) -> bool:
    reason = template.refusal("su")
    if reason:
        notes.append(f"no system role ({reason}): the system text begins the first user message")
    return reason is None


def _probe_joins(template: Template, base: str, notes: list[str]) -> bool:
    reason = template.refusal(base + "uu")
    if reason:
        notes.append("messages of one role in a row are joined into one")
    return reason is not None


def _header(template: Template, roles: str) -> str:
    """What the request for an assistant's turn adds, beyond the end of a user's."""
    opened, closed = (template.pieces(roles, opens=o)[-1] for o in (True, False))
    return _beyond(opened, closed) or opened


def _beyond(text: str, other: str) -> str:
    """The text from where it differs from the other one."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False))
    return text[sum(1 for _ in same) :]


def _probe_first(template: Template, base: str, header: str, notes: list[str]) -> bool:
    if not base:  # the system text is a user message already
        return False
    reason = template.refusal("s") or template.refusal("sau")
    if reason is None and not template.pieces("s")[-1].endswith(header):
        reason = "it opens no assistant's turn after a system message alone"
    if reason:
        notes.append(f"a conversation must begin with a user message ({reason})")
    return reason is not None


def _stable_closing(template: Template, base: str, user_first: bool) -> str:
    """The text from an assistant's to a user's message, which must not depend on the place."""
    starts = ["u"] if user_first else ["u", ""]
    shapes = [base + s + "au" * n for s in starts for n in (1, 2, 3) if base or s]
    closings, requests = set(), set()
    for roles in shapes:
        pieces = template.pieces(roles)
        closings |= {pieces[i + 1] for i, role in enumerate(roles) if role == "a"}
        requests.add(pieces[-1])
    if len(closings) > 1 or len(requests) > 1:
        raise Refused("writes the same turn differently as the conversation grows")
    return closings.pop()


def _probe_opening(template: Template, base: str, notes: list[str]) -> tuple[str, str, str]:
    pieces = template.pieces(base + "uau")
    asked, shown = pieces[-1], pieces[len(base) + 1]
    more = shown.removeprefix(asked) if shown.startswith(asked) else ""
    prefill = more.rstrip()
    if prefill:
        notes.append(f"each assistant's turn is opened with {prefill!r}, as in its history")
    elif not shown.startswith(asked):
        lost = _beyond(asked, shown)
        notes.append(f"the history loses {lost!r}, which opened the turn; the ledger keeps it")
    _, tag, after = (asked + prefill).rpartition("<think>")
    opening = tag + after if tag and "</think>" not in after else ""
    if opening:
        notes.append("every assistant's turn begins inside a <think> block; there is no switch")
    return prefill, more[len(prefill) :], opening


def _probe_thinking(template: Template, notes: list[str]) -> bool:
    spoken = [f"{before}thoughtful{after}answer" for before, after in _THOUGHTS]
    turns = [[("u", "q"), ("a", text), ("u", "r")] for text in spoken]
    kept = all("thoughtful" in template.render(each, True) for each in turns)
    if not kept:
        notes.append("the history loses what was thought earlier; the ledger keeps it")
    return kept


def _probe_date(template: Template, base: str, notes: list[str]) -> None:
    for roles in {"u", base + "u"}:
        turns = [(role, "text") for role in roles]
        if len({template.render(turns, True, date) for date in _DATES}) > 1:
            notes.append(f"it writes today's date: always {_DATES[0]:%-d %B %Y}")
            return
