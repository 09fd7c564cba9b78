"""Agreement of judges: of two rules on the same conversations, and of a rule with itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from utils.metrics.statistics import cluster_bootstrap, cohens_kappa
from utils.metrics.verdicts import rule_rejects
from utils.records import ConversationRecord

Pairs = Sequence[tuple[str, bool, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often two judgements of the same conversations agree; kappa is beyond chance."""

    first: str
    second: str
    n: int
    clusters: int  # problems; below MIN_CLUSTERS kappa has no interval
    share: float
    kappa: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def agreements(records: Sequence[ConversationRecord]) -> list[Agreement]:
    """Agreement of every two rules (a matcher and a model, say), and of a rule's own attempts."""
    found = [_agreement(first, second, pairs) for first, second, pairs in _compared(records)]
    return [agreement for agreement in found if agreement is not None]


def agreement_shares(records: Sequence[ConversationRecord]) -> dict[str, float]:
    """{"rule / other rule": share of conversations on which both decide alike}, without intervals.

    What is not decided by both is in no share.
    """
    return {
        f"{first} / {second}": fmean(float(a == b) for _, a, b in pairs)
        for first, second, pairs in _compared(records)
        if pairs
    }


def _compared(records: Sequence[ConversationRecord]) -> Iterator[tuple[str, str, Pairs]]:
    """Two judgements by name, and (problem, the first rejects, the second rejects) for each."""
    rules = sorted({rule for r in records for rule in r.verdicts})
    for rule in rules:
        yield (
            f"{rule} (attempt)",
            f"{rule} (another)",
            [
                (r.problem_id, one == "REJECT", other == "REJECT")
                for r in records
                for one, other in combinations(
                    [v.decision for v in r.verdicts.get(rule, []) if v.decision], 2
                )
            ],
        )
    for first, second in combinations(rules, 2):
        decided = ((r, rule_rejects(r, first), rule_rejects(r, second)) for r in records)
        pairs = [
            (r.problem_id, a == 1.0, b == 1.0)
            for r, a, b in decided
            if a is not None and b is not None
        ]
        yield first, second, pairs


def _agreement(first: str, second: str, pairs: Pairs) -> Agreement | None:
    """Of (problem, the first rejects, the second rejects); None without any pair."""
    if not pairs:
        return None
    by_problem: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    for problem, a, b in pairs:
        by_problem[problem][(not a) * 2 + (not b)] += 1
    tables = list(by_problem.values())
    total = [sum(column) for column in zip(*tables, strict=True)]
    interval = cluster_bootstrap(tables, cohens_kappa)
    low, high = interval if interval else (None, None)
    return Agreement(
        first=first,
        second=second,
        n=len(pairs),
        clusters=len(tables),
        share=(total[0] + total[3]) / len(pairs),
        kappa=cohens_kappa(total),
        low=low,
        high=high,
    )
