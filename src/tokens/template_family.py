"""What a chat template can do, found out by trying it on dummy conversations.

Sequences of roles are strings of `s` (system), `u` (user) and `a` (assistant).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from src.tokens.declared_thinking import declared_thinking
from src.tokens.template import DATES, WORDS, Refused, Template
from utils.thinking import Thinking


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
    opening: str  # thinking that header and prefill leave open, from its marker
    thought_end: str  # what stands between a thought and the answer, if it takes thoughts
    thinking: Thinking  # what of the model's text is hidden from the others
    notes: tuple[str, ...]  # what gives way


def probe(template: Template, source: str, tokens: Iterable[str]) -> Family:
    """Try the template out; raises Refused where no conversation can be carried.

    `source` is its text, `tokens` the tokenizer's added ones: what they declare as thinking counts.
    """
    notes: list[str] = []
    _choose_content(template, notes)
    own_system = _probe_system(template, notes)
    base = "s" if own_system else ""
    _refuse_unless(template, base + "uauau")
    joins = _probe_joins(template, base, notes)
    header = _header(template, base + "u")
    user_first = _probe_first(template, base, header, notes)
    closing = _stable_closing(template, base, user_first)
    prefill, lead, asked = _probe_prefill(template, base, notes)
    thinking, between = declared_thinking(template, source, tokens)
    opening, thought_end = _probe_opening(thinking, asked + prefill, between, notes)
    keeps_thinking = _probe_thinking(template, thinking, notes)
    _probe_date(template, base, notes)
    return Family(
        own_system=own_system, user_first=user_first, joins=joins, keeps_thinking=keeps_thinking,
        closing=closing, ending=template.pieces(base + "ua", opens=False)[-1], header=header,
        prefill=prefill, lead=lead, opening=opening, thought_end=thought_end, thinking=thinking,
        notes=tuple(notes),
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
    if reason is None and template.refusal("suau") and template.refusal("uau") is None:
        # an early Mistral template puts it before the last user's message, wherever that is
        moved = template.order("suau")[:1] == [1]
        reason = "it puts the system text before the last user message" if moved else None
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
    return template.beyond(opened, closed) or opened


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


def _probe_prefill(template: Template, base: str, notes: list[str]) -> tuple[str, str, str]:
    """(prefill, lead, what the request for a turn writes after the user's message)."""
    pieces = template.pieces(base + "uau")
    asked, shown = pieces[-1], pieces[len(base) + 1]
    more = shown.removeprefix(asked) if shown.startswith(asked) else ""
    prefill = more.rstrip()
    if prefill:
        notes.append(f"each assistant's turn is opened with {prefill!r}, as in its history")
    elif not shown.startswith(asked):
        lost = template.beyond(asked, shown)
        notes.append(f"the history loses {lost!r}, which opened the turn; the ledger keeps it")
    return prefill, more[len(prefill) :], asked


def _probe_opening(
    thinking: Thinking, asked: str, between: str, notes: list[str]
) -> tuple[str, str]:
    """(what stands open when the model begins to write, what ends a thought)."""
    if spoken := [f"{f.begin.strip()} … {f.end}" for f in thinking.formats[1:]]:
        notes.append(f"hidden from the others: {', '.join(spoken)}")
    found = thinking.opened_in(asked)
    if found is None:
        return "", between
    opening, format_ = found
    notes.append(f"every assistant's turn begins inside {opening.strip()!r}; there is no switch")
    return opening, between if between.strip() else f"{format_.end}\n\n"


def _probe_thinking(template: Template, thinking: Thinking, notes: list[str]) -> bool:
    """Whether the history keeps every earlier thought, of one tutor turn and of two."""
    kept = True
    for each in thinking.formats:
        text = f"{each.begin}\nthoughtful\n{each.end}\n\nanswer"
        for n in (1, 2):
            with suppress(Refused):  # gpt-oss wants no channels in contents
                turns = [("u", "q"), *[("a", text), ("u", "r")] * n]
                kept = kept and template.render(turns, True).count("thoughtful") == n
    if not kept:
        notes.append("the history loses what was thought earlier; the ledger keeps it")
    return kept


def _probe_date(template: Template, base: str, notes: list[str]) -> None:
    for roles in {"u", base + "u"}:
        turns = [(role, "text") for role in roles]
        if len({template.render(turns, True, date) for date in DATES}) > 1:
            notes.append(f"it writes today's date: always {DATES[0]:%-d %B %Y}")
            return
