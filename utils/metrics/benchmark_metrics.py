"""Numbers that only benchmarks have, from the record: accuracy, F1, BLEU, win rate."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from utils.metrics.comparable import HUMAN_TURN
from utils.metrics.conversation import solve_after
from utils.metrics.statistics import Estimate, clustered_mean
from utils.records import ConversationRecord

HUMAN_SCORE = "human_ped_rm"
GOLD = "gold"  # what a student's solution is: "correct", "wrong", or the number of its wrong step

Records = Sequence[ConversationRecord]
Pair = tuple[str, str | None]  # (gold, answer); an answer that cannot be read is None


def benchmark_metrics(records: Records) -> dict[str, Any]:
    """What the records allow: `accuracy` over all, and each source's own numbers.

    A task of MathTutorBench is a source.  Where there are several, its numbers end with its name.
    """
    by_source: dict[str, list[ConversationRecord]] = defaultdict(list)
    for record in records:
        by_source[record.source].append(record)
    found: dict[str, Estimate] = {}
    if graded := [r for r in records if _is_graded(r)]:
        found["accuracy"] = _accuracy(graded)
    for source, own in sorted(by_source.items()):
        for name, estimate in _of_source(own).items():
            found[name if len(by_source) == 1 else f"{name}_{source}"] = estimate
    return {name: estimate.to_json() for name, estimate in found.items()}


def _of_source(records: Records) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    if graded := [r for r in records if _is_graded(r)]:
        found["accuracy"] = _accuracy(graded)
    if wins := _wins(records):
        found["win_rate"] = clustered_mean(wins, share=True)
    scores = [(r.problem_id, s.score) for r in records for s in r.solutions if s.score is not None]
    if scores:
        found["bleu"] = clustered_mean(((p, score or 0.0) for p, score in scores), share=True)
    judged = [r for r in records if GOLD in r.extra and r.solutions]
    pairs: list[Pair] = [(str(r.extra[GOLD]), r.solutions[0].answer) for r in judged]
    if {gold for gold, _ in pairs} & {"correct", "wrong"}:
        found["f1_wrong"] = _spreadless(f1_of("wrong", pairs), judged)
    elif pairs:
        for average, value in f1_averages(pairs).items():
            found[f"f1_{average}"] = _spreadless(value, judged)
    return found


def _is_graded(record: ConversationRecord) -> bool:
    """Whether an answer is right or wrong: no tutor's turn, nothing that is scored by BLEU."""
    scored = any(s.score is not None for s in record.solutions)
    return HUMAN_TURN not in record.extra and not scored


def _accuracy(records: Records) -> Estimate:
    """Share of right answers; a request that failed for good has none."""
    values = ((r.problem_id, solve_after(r)) for r in records)
    return clustered_mean(((problem, v) for problem, v in values if v is not None), share=True)


def _wins(records: Records) -> list[tuple[str, float]]:
    """1.0 where our turn is scored above the human one."""
    wins = []
    for r in records:
        human = r.extra.get(HUMAN_SCORE)
        if human is not None and r.ped_rm:
            wins.append((r.problem_id, float(r.ped_rm[-1] > human)))
    return wins


def f1_of(label: str, pairs: Sequence[Pair]) -> float | None:
    """F1 of finding this label; None where it is neither there nor said."""
    hit = sum(gold == answer == label for gold, answer in pairs)
    either = sum((gold == label) + (answer == label) for gold, answer in pairs)
    return 2 * hit / either if either else None


def f1_averages(pairs: Sequence[Pair]) -> dict[str, float]:
    """F1 over labels: `micro` (of all answers together: the share that is right), `macro` (each
    label that is there or said counts once), `weighted` (by how often it is there).
    """
    golds = Counter(gold for gold, _ in pairs)
    labels = sorted({*golds, *(answer for _, answer in pairs if answer is not None)})
    scores = {label: f1_of(label, pairs) or 0.0 for label in labels}
    right = sum(gold == answer for gold, answer in pairs)
    return {
        "micro": right / len(pairs),
        "macro": fmean(scores.values()),
        "weighted": sum(golds[label] * score for label, score in scores.items()) / len(pairs),
    }


def _spreadless(value: float | None, records: Records) -> Estimate:
    """F1 is no mean over items: it gets no standard error here."""
    clusters = len({r.problem_id for r in records})
    return Estimate(mean=value, se=None, n=len(records), clusters=clusters)
