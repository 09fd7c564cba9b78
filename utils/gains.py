"""What a student gained by a conversation, and what long turns take off it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Literal

from utils.records import ConversationRecord, Message, Solution
from utils.thinking import Thinking
from utils.thinking_formats import KNOWN

Gain = Literal["solve", "difference", "normalised"]
_ANY_FORMAT = Thinking(KNOWN)  # a record does not say which one its tutor has


def solve_rate(solutions: Sequence[Solution]) -> float | None:
    """Share of right solutions; None without any."""
    return fmean(float(s.correct) for s in solutions) if solutions else None


def rate_afterwards(record: ConversationRecord) -> float | None:
    """The solve rate afterwards of the problem itself; where it was not asked, of the other one."""
    return solve_rate(record.solutions or record.tested("transfer")[1])


def normalised_gain(before: float, after: float) -> float:
    """Share of what was left to gain: (after - before) / (1 - before) where after > before.

    A loss is the plain difference, so rates give a value from -1 to 1 (EduardoRL, arXiv
    2610.06446); so is a gain over a score of 1 or more, which left nothing.
    """
    gained = after - before
    return gained / (1 - before) if gained > 0 and before < 1 else gained


def gain(kind: Gain, before: float | None, after: float) -> float:
    """What of a test counts; `before` may be None for `solve` alone."""
    if kind == "solve":
        return after
    if before is None:
        raise ValueError(f"{kind} needs the rate before")
    return normalised_gain(before, after) if kind == "normalised" else after - before


# -- long turns ------------------------------------------------------------------------------


def long_turns(messages: Iterable[Message], visible: int, thinking: int) -> float:
    """The mean over tutor turns of what their length leaves of a gain, from 0 to 1.

    A turn of t tokens above a limit T leaves 1 / (1 + ((t - T) / T)^2), a shorter one all of it
    (EduardoRL); visible and hidden tokens have a limit each, and their factors are multiplied.
    A limit of 0 is none.
    """
    factors = []
    for message in messages:
        if message.role == "teacher":
            hidden = hidden_tokens(message)
            factors.append(_factor(message.tokens - hidden, visible) * _factor(hidden, thinking))
    return fmean(factors) if factors else 1.0


def _factor(tokens: float, limit: int) -> float:
    if not limit or tokens <= limit:
        return 1.0
    return 1 / (1 + ((tokens - limit) / limit) ** 2)


def hidden_tokens(message: Message) -> float:
    """Tokens of a turn's planning, by its share of the letters: a record counts all together."""
    hidden = len(_ANY_FORMAT.hidden(message.content))
    whole = hidden + len(_ANY_FORMAT.visible(message.content))
    return message.tokens * hidden / whole if hidden else 0.0
