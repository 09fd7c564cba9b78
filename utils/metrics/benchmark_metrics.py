"""Numbers that only benchmarks have, from the record: accuracy, F1, win rate against the human."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from utils.metrics.conversation import solve_after
from utils.metrics.statistics import Estimate, clustered_mean
from utils.records import ConversationRecord

HUMAN_TURN, HUMAN_SCORE = "human_turn", "human_ped_rm"
GOLD = "gold"  # "correct" or "wrong": what a student's solution is


def benchmark_metrics(records: Sequence[ConversationRecord]) -> dict[str, Any]:
    """`accuracy` and the same by source; `win_rate`; `f1_wrong`: what the records allow."""
    graded = [r for r in records if HUMAN_TURN not in r.extra]
    found: dict[str, Estimate] = {}
    if graded:
        found["accuracy"] = _accuracy(graded)
        sources = sorted({r.source for r in graded})
        for source in sources if len(sources) > 1 else ():
            found[f"accuracy_{source}"] = _accuracy([r for r in graded if r.source == source])
    if wins := _wins(records):
        found["win_rate"] = clustered_mean(wins, share=True)
    judged = [r for r in graded if GOLD in r.extra]
    if judged:
        found["f1_wrong"] = f1(judged)
    return {name: estimate.to_json() for name, estimate in found.items()}


def _accuracy(records: Sequence[ConversationRecord]) -> Estimate:
    """Share of right answers; a request that failed for good has none."""
    values = ((r.problem_id, solve_after(r)) for r in records)
    return clustered_mean(((problem, v) for problem, v in values if v is not None), share=True)


def _wins(records: Sequence[ConversationRecord]) -> list[tuple[str, float]]:
    """1.0 where our turn is scored above the human one."""
    wins = []
    for r in records:
        human = r.extra.get(HUMAN_SCORE)
        if human is not None and r.ped_rm:
            wins.append((r.problem_id, float(r.ped_rm[-1] > human)))
    return wins


def f1(records: Sequence[ConversationRecord]) -> Estimate:
    """F1 of finding wrong solutions; an answer that cannot be read finds nothing."""
    said = [(r.extra[GOLD], r.solutions[0].answer if r.solutions else None) for r in records]
    hit = sum(gold == answer == "wrong" for gold, answer in said)
    either = sum((gold == "wrong") + (answer == "wrong") for gold, answer in said)
    mean = 2 * hit / either if either else None
    return Estimate(mean=mean, se=None, n=len(said), clusters=len({r.problem_id for r in records}))
