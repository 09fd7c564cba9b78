"""Sessions in numbers: help by position, how it fades, what is kept until the next problem.

Positions count from 1, the order in which a session's problems come.  The last one has no tutor:
its solve rate alone is `solve_after`, which these metrics call `solve_alone_k` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from utils.gains import solve_rate
from utils.metrics.turns import Metric
from utils.metrics.verdicts import leaked
from utils.records import ConversationRecord
from utils.sessions import talks

_OF_TALKS = ("solve_alone", "solve_helped", "support_tokens", "hints")
_OF_SESSIONS = ("fading_slope", "retention", "problems_reached")
Of = Callable[[ConversationRecord], float | None]  # of one talk


def session_metrics(records: Sequence[ConversationRecord]) -> dict[str, Metric]:
    """Every metric of sessions, by name; none where there are no sessions.

    Of each position: `solve_alone_1` (before a word about that problem), `solve_helped_1` (after
    its talk), `support_tokens_1` and `hints_1` (the tutor's tokens and turns), `leaked_1`.
    Of the whole: `fading_slope`, `retention`, `problems_reached`.
    """
    longest = max((len(r.session) for r in records), default=0)
    if not longest:
        return {}
    by_position: dict[str, Of] = {
        "solve_alone": lambda talk: solve_rate(talk.initial_solutions),
        "solve_helped": lambda talk: solve_rate(talk.solutions),
        "support_tokens": support_tokens,
        "hints": lambda talk: float(sum(m.role == "teacher" and m.heard for m in talk.messages)),
        "leaked": leaked,
    }
    found = {
        f"{name}_{position + 1}": _at(position, of)
        for name, of in by_position.items()
        for position in range(longest)
    }
    last = f"solve_alone_{longest + 1}"
    found[last] = lambda r: None if r.accepted_only or not r.session else solve_rate(r.solutions)
    return found | {
        "fading_slope": fading_slope,
        "retention": retention,
        "problems_reached": problems_reached,
    }


def session_names(length: int) -> list[str]:
    """The metrics of sessions of this many problems; none of one."""
    if length == 1:
        return []
    positions = range(1, length)
    found = [f"{name}_{p}" for name in (*_OF_TALKS, "leaked") for p in positions]
    return [*found, f"solve_alone_{length}", *_OF_SESSIONS]


def is_session_curve(name: str) -> bool:
    """Whether a metric is drawn as a curve of sessions."""
    return name in _OF_SESSIONS or name.startswith(tuple(f"{own}_" for own in _OF_TALKS))


def support_tokens(talk: ConversationRecord) -> float:
    """The tutor's tokens about one problem, as sampled, planning too."""
    return float(sum(m.tokens for m in talk.messages if m.role == "teacher"))


def fading_slope(record: ConversationRecord) -> float | None:
    """How many tokens of help more each problem gets than the one before; negative: it fades.

    The slope of a straight line through the taught problems (least squares); None for fewer than
    two.  40, 30, 10 tokens: -15.
    """
    if not record.session:
        return None
    values = [support_tokens(talk) for talk in talks(record)]
    if len(values) < 2:
        return None
    middle, mean = (len(values) - 1) / 2, fmean(values)
    rise = sum((i - middle) * (v - mean) for i, v in enumerate(values))
    return rise / sum((i - middle) ** 2 for i in range(len(values)))


def retention(record: ConversationRecord) -> float | None:
    """Of what was solved after a problem's talk, the share solved alone on the next problem.

    The mean over the taught problems, those solved at all; above 1 where the next one is easier.
    Solved .8 with help and .6 alone on the next: .75.  None where neither is known.
    """
    if not record.session or record.accepted_only:
        return None
    reached = talks(record)
    helped = [solve_rate(talk.solutions) for talk in reached]
    later = [solve_rate(talk.initial_solutions) for talk in reached[1:]]
    if len(reached) == len(record.session):
        later.append(solve_rate(record.solutions))
    shares = [
        after / before
        for before, after in zip(helped, later, strict=False)
        if before and after is not None
    ]
    return fmean(shares) if shares else None


def problems_reached(record: ConversationRecord) -> float | None:
    """The share of a session's taught problems that it came to before its tokens ran out."""
    if not record.session:
        return None
    return fmean(float(taught.stop_reason is not None) for taught in record.session)


def _at(position: int, of: Of) -> Metric:
    def value(record: ConversationRecord) -> float | None:
        found = talks(record) if record.session else []
        return of(found[position]) if position < len(found) else None

    return value
