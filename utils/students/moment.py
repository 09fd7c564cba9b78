"""What a scripted student is asked with.

`generation.students.NAME.replies` names a function `Moment -> str | None`: the student's words, or
None where its model is to speak.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What was said of an earlier problem of a session."""

    problem: str
    answer: str
    turns: Sequence[tuple[str, str]]  # (speaker, what the others saw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One time that a student is asked for words.

    `what`: the opening attempt, a turn, one of the solutions afterwards, one of those before
    (`initial`).  In a transfer test `problem` and `answer` are the other one's, and the tutor's
    turns read "(hidden)" where the settings hide them.  In a session a solution without any `turns`
    is one before any help, of a problem that comes after those of `earlier`.
    """

    what: Literal["attempt", "turn", "solution", "initial"]
    problem: str
    answer: str
    turns: Sequence[tuple[str, str]] = ()  # (speaker, what the others saw) so far, of the problem
    earlier: Sequence[Talk] = ()  # problems of its session before this one
    spoken: int = 0  # messages of its own so far
    rounds: int = 0  # of pressure that the settings ask for
    sample: int = 0  # which of the solutions
    seed: int = 0  # for what is left to chance


Replies = Callable[[Moment], str | None]
