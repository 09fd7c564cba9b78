"""How far a judge agrees with people: precision, recall and kappa, clustered by conversation.

A REJECT is the positive: precision is the share of the judge's REJECTs that people share, recall
the share of people's that the judge finds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from utils.metrics.statistics import cluster_bootstrap, clustered_mean, cohens_kappa
from utils.records import Usage
from utils.verdicts.labels import Labelled

Decision = str | None  # OK, REJECT or missing
Table = Sequence[float]  # both reject, only the judge, only people, neither


def f1(table: Table) -> float | None:
    total = 2 * table[0] + table[1] + table[2]
    return 2 * table[0] / total if total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One judge on one file of labels; intervals: 95 %, clustered by conversation.

    `unreadable`: share of the answers that held no verdict.  `attempts_agree`: share of pairs of
    attempts at one turn that decide alike (None: one attempt).  `groups`: of each kind of turn,
    how many were decided and how many of these were rejected.
    """

    judge: str
    labels: str
    turns: int  # decided, and so in the table
    conversations: int
    undecided: int  # turns without a decision
    left_out: dict[str, int]
    table: dict[str, int]
    measures: dict[str, dict[str, float | None]]
    unreadable: float
    attempts_agree: float | None
    groups: dict[str, dict[str, int]]
    usage: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def decided(decisions: Sequence[Decision]) -> Decision:
    """A turn's decision, as in the classroom: any REJECT rejects; a missing one is never an OK."""
    if "REJECT" in decisions:
        return "REJECT"
    return None if None in decisions or not decisions else "OK"


def calibrate(
    judge: str,
    labels: str,
    judged: Iterable[tuple[Labelled, Sequence[Decision]]],
    *,
    left_out: dict[str, int] | None = None,
    usage: Usage | None = None,
    seconds: float = 0.0,
) -> Calibration:
    """The numbers of a judge that gave each labelled turn these decisions, one for each attempt."""
    judged = list(judged)
    rows = [(row, decision == "REJECT") for row, d in judged if (decision := decided(d))]
    tables: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    groups: dict[str, dict[str, int]] = {}
    for row, rejects in rows:
        tables[row.conversation][(not rejects) * 2 + (not row.rejected)] += 1
        group = groups.setdefault(row.group, {"turns": 0, "rejected": 0})
        group["turns"] += 1
        group["rejected"] += rejects
    total = [sum(column) for column in zip(*tables.values(), strict=True)] or [0.0] * 4
    answers = [d for _, decisions in judged for d in decisions]
    names = ("both", "only_judge", "only_people", "neither")
    found = list(tables.values())
    return Calibration(
        judge=judge,
        labels=labels,
        turns=len(rows),
        conversations=len(tables),
        undecided=len(judged) - len(rows),
        left_out=left_out or {},
        table={name: round(n) for name, n in zip(names, total, strict=True)},
        measures={
            "precision": _share((row.conversation, row.rejected) for row, said in rows if said),
            "recall": _share((row.conversation, said) for row, said in rows if row.rejected),
            "f1": _measure(found, total, f1),
            "kappa": _measure(found, total, cohens_kappa),
        },
        unreadable=answers.count(None) / len(answers) if answers else 0.0,
        attempts_agree=_attempts_agree(decisions for _, decisions in judged),
        groups=dict(sorted(groups.items())),
        usage=usage.model_dump() if usage else {},
        seconds=round(seconds, 1),
    )


def _share(pairs: Iterable[tuple[str, bool]]) -> dict[str, float | None]:
    share = clustered_mean(((cluster, float(yes)) for cluster, yes in pairs), share=True)
    return {"value": share.mean, "low": share.low, "high": share.high}


def _measure(
    tables: Sequence[Table], total: Table, of: Callable[[Table], float | None]
) -> dict[str, float | None]:
    low, high = cluster_bootstrap(tables, of) or (None, None)
    return {"value": of(total), "low": low, "high": high}


def _attempts_agree(rows: Iterable[Sequence[Decision]]) -> float | None:
    pairs = [a == b for row in rows for a, b in combinations([d for d in row if d], 2)]
    return sum(pairs) / len(pairs) if pairs else None
