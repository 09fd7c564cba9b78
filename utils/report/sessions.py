"""Sessions in the report: each taught problem of a conversation, beside what was said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from utils.gains import solve_rate
from utils.metrics.sessions import support_tokens
from utils.records import ConversationRecord, Solution, VerdictRecord
from utils.sessions import talks

Cut = Callable[[str], str]
Shown = Callable[[Solution], dict[str, Any]]


def taught_problems(r: ConversationRecord, cut: Cut) -> list[dict[str, Any]]:
    """The problems that a session came to before its last one; none without a session."""
    if not r.session:
        return []
    return [
        {
            "problem": cut(talk.problem),
            "answer": cut(talk.answer),
            "stop": talk.stop_reason,
            "tokens": support_tokens(talk),
            "alone": _rounded(talk.initial_solutions),
            "helped": _rounded(talk.solutions),
        }
        for talk in talks(r)
    ]


def taught_solutions(r: ConversationRecord, shown: Shown) -> list[dict[str, Any]]:
    """What the student wrote about each of them, before the talk and after it."""
    return [
        {"alone": [shown(s) for s in t.alone], "helped": [shown(s) for s in t.solutions]}
        for t in r.session
        if t.stop_reason is not None
    ]


def of_problem(r: ConversationRecord, verdict: VerdictRecord) -> dict[str, int]:
    """Which problem of a session a verdict is about, counted from 1."""
    return {"problem": verdict.problem + 1} if r.session else {}


def _rounded(solutions: Sequence[Solution]) -> float | None:
    rate = solve_rate(solutions)
    return None if rate is None else round(rate, 4)
