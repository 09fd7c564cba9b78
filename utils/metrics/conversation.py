"""Metrics of a run, from the record alone: what every conversation shows, and its mean by group.

A metric is a function of one conversation that gives a number, or None where the record cannot
say (no solutions sampled, a verdict missing).  None is left out of the mean, never counted as 0;
`n` says how many conversations are in it.  Standard errors are clustered by problem.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from utils.gains import solve_rate as solve_rate
from utils.metrics.post_tests import SIGNED, post_test_metrics
from utils.metrics.sessions import session_metrics
from utils.metrics.statistics import Estimate, clustered_mean
from utils.metrics.turns import Metric, turn_metrics
from utils.metrics.verdicts import by_rule, leaked, leaked_any, missing, rejected, rejected_any
from utils.records import ConversationRecord

#: The names that metrics.json always has, in every group too, before all others.
HEADLINE = (
    "solve_before",
    "solve_after",
    "delta",
    "normalised_gain",
    "leaked",
    "rejected",
    "missing",
    "ped_rm_micro",
    "ped_rm_macro",
    "turns",
    "leaked_any",
    "rejected_any",
)
METRICS_NAME = "metrics.json"
STOP_REASONS = ("tutor_ended", "student_ended", "max_turns", "max_tokens", "error")

#: What these names begin is a share: it lies between 0 and 1.
_SHARES = (
    "solve_", "leaked", "rejected", "missing", "ended_", "truncated_turn", "turns_failed",
    "turns_withheld", "turns_hidden", "problems_reached",
)  # fmt: skip

#: These are differences of shares: they lie between -1 and 1.
_SIGNED = ("delta", "delta_accepted", *SIGNED)

#: Of what these names begin, less is better.
_LESS = (
    "leaked", "rejected", "missing", "truncated_turn", "turns_failed", "turns_withheld",
    "ended_error", "ended_max", "transfer_gap", "fading_slope",
)  # fmt: skip


def more_is_better(name: str) -> bool:
    """Which way a metric points, where one checkpoint is to be called the best."""
    return not name.startswith(_LESS)


def solve_before(record: ConversationRecord) -> float | None:
    """The student's solve rate before the conversation (bare problem)."""
    return solve_rate(record.initial_solutions)


def solve_after(record: ConversationRecord) -> float | None:
    """The student's solve rate after the conversation (paper, section 3.4: r_sol).

    None for one that would not have been solved had a judge rejected it (hard lambda): the mean
    over those is another number, `solve_after_accepted`.
    """
    return None if record.accepted_only else solve_rate(record.solutions)


def delta(record: ConversationRecord) -> float | None:
    """Solve rate after minus before; None unless both were measured."""
    return _difference(solve_before(record), solve_after(record))


def solve_after_accepted(record: ConversationRecord) -> float | None:
    """The solve rate after a conversation that every judge accepted; None for any other one."""
    return solve_rate(record.solutions) if rejected_any(record) == 0.0 else None


def delta_accepted(record: ConversationRecord) -> float | None:
    """`delta` of conversations that every judge accepted."""
    return _difference(solve_before(record), solve_after_accepted(record))


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _tokens_of(role: str) -> Metric:
    def tokens(record: ConversationRecord) -> float:
        return float(sum(m.tokens for m in record.messages if m.role == role))

    return tokens


def _paid(record: ConversationRecord) -> float | None:
    if not record.usage:
        return None
    return float(sum(u.prompt_tokens + u.completion_tokens for u in record.usage.values()))


def _ended(reason: str) -> Metric:
    return lambda record: float(record.stop_reason == reason)


def _turns(record: ConversationRecord) -> float:
    return float(len(record.messages))


def _tutor_turns(record: ConversationRecord) -> float:
    return float(sum(m.role == "teacher" for m in record.messages))


def _reward(name: str) -> Metric:
    return lambda record: record.rewards.get(name)


def conversation_metrics(records: Sequence[ConversationRecord]) -> dict[str, Metric]:
    """Every metric that is a number per conversation, by name.

    `turns` counts messages of both roles, as `generation.max_turns` does; `tutor_tokens` and
    `student_tokens` are those of the messages; `tokens` are all that were paid for, prompts too.
    What was solved only if accepted has metrics of its own, where there is any.
    """
    names = sorted({name for r in records for name in r.rewards})
    rules = sorted({rule for r in records for rule in r.verdicts})
    accepted = any(r.accepted_only for r in records)
    return (
        {
            "solve_before": solve_before,
            "solve_after": solve_after,
            "delta": delta,
            "leaked": leaked,
            "rejected": rejected,
            "leaked_any": leaked_any,
            "rejected_any": rejected_any,
            "missing": missing,
            "turns": _turns,
            "tutor_turns": _tutor_turns,
            "tutor_tokens": _tokens_of("teacher"),
            "student_tokens": _tokens_of("student"),
            "tokens": _paid,
            "truncated_turn": lambda record: float(
                any(m.role == "teacher" and m.stop_reason == "length" for m in record.messages)
            ),
        }
        | {f"ended_{reason}": _ended(reason) for reason in STOP_REASONS}
        | (_ACCEPTED if accepted else {})
        | post_test_metrics(records)
        | {name: metric for rule in rules for name, metric in by_rule(rule).items()}
        | turn_metrics(records)
        | session_metrics(records)
        | {f"reward_{name}": _reward(name) for name in names}
    )


_ACCEPTED: dict[str, Metric] = {
    "solve_after_accepted": solve_after_accepted,
    "delta_accepted": delta_accepted,
}


def is_share(name: str) -> bool:
    """Whether a metric lies between 0 and 1."""
    return name.startswith(_SHARES)


def is_signed(name: str) -> bool:
    """Whether a metric is a difference of shares, between -1 and 1."""
    return name in _SIGNED


def mean_of(
    records: Iterable[ConversationRecord],
    metric: Metric,
    *,
    share: bool = False,
    signed: bool = False,
) -> Estimate:
    """Mean of a metric over the conversations that have it, clustered by problem."""
    values = ((r.problem_id, metric(r)) for r in records)
    pairs = ((problem, v) for problem, v in values if v is not None)
    return clustered_mean(pairs, share=share, signed=signed)


def named_mean(records: Iterable[ConversationRecord], metric: Metric, name: str) -> Estimate:
    """`mean_of`, with the interval that a metric of this name has."""
    return mean_of(records, metric, share=is_share(name), signed=is_signed(name))


def normalised_gains(records: Iterable[ConversationRecord]) -> dict[str, float]:
    """Normalised gain of each problem: (after - before) / (1 - before), where before < 1.

    Before and after are means over the problem's conversations that have both; a problem solved
    every time before leaves nothing to gain and is left out.  1 is everything that could be
    gained; a loss is negative and has no lower bound (7/8 before, 0 after: -7), so read it beside
    `delta`.
    """
    by_problem: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        before, after = solve_before(record), solve_after(record)
        if before is not None and after is not None:
            by_problem[record.problem_id].append((before, after))
    gains: dict[str, float] = {}
    for problem, pairs in by_problem.items():
        before, after = (fmean(side) for side in zip(*pairs, strict=True))
        if before < 1.0:
            gains[problem] = (after - before) / (1 - before)
    return gains


def ped_rm(records: Iterable[ConversationRecord]) -> tuple[Estimate, Estimate]:
    """Ped-RM micro (mean over tutor turns) and macro (mean over conversations' means)."""
    scored = [r for r in records if r.ped_rm]
    micro = clustered_mean((r.problem_id, score) for r in scored for score in r.ped_rm)
    macro = clustered_mean((r.problem_id, fmean(r.ped_rm)) for r in scored)
    return micro, macro


Measured = tuple[ConversationRecord, dict[str, float]]


def measure(records: Sequence[ConversationRecord]) -> list[Measured]:
    """Each conversation with the metrics that it has."""
    metrics = conversation_metrics(records)
    found = []
    for record in records:
        values = ((name, metric(record)) for name, metric in metrics.items())
        found.append((record, {name: v for name, v in values if v is not None}))
    return found


def summarise(records: Sequence[ConversationRecord]) -> dict[str, Estimate]:
    """Every metric of these conversations; names without a value have n = 0 and mean None."""
    return estimates(measure(records), conversation_metrics(records))


def estimates(measured: Sequence[Measured], names: Iterable[str]) -> dict[str, Estimate]:
    """`summarise` of conversations that are measured already, for these metrics."""
    found = {
        name: clustered_mean(
            ((r.problem_id, v[name]) for r, v in measured if name in v),
            share=is_share(name),
            signed=is_signed(name),
        )
        for name in names
    }
    records = [record for record, _ in measured]
    found["normalised_gain"] = clustered_mean(normalised_gains(records).items())
    found["ped_rm_micro"], found["ped_rm_macro"] = ped_rm(records)
    return found


def stop_reasons(records: Iterable[ConversationRecord]) -> dict[str, int]:
    """How conversations ended, as counts in the order of STOP_REASONS."""
    counts = Counter(r.stop_reason for r in records)
    return {reason: counts[reason] for reason in STOP_REASONS if counts[reason]}  # type: ignore[index]


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all: a reader never sees half a file."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
