"""What a student reacts to: solve rates by kind of help, selectivity, hold, cost.

Read from the record of `eval.py --config-name students` alone, by student; intervals are clustered
by problem.  Terms and their source: HoldFast, SFS (arXiv 2605.12748).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from config.errors import ConfigError
from utils.answers.equality import equal
from utils.metrics.conversation import mean_of, solve_before, solve_rate
from utils.metrics.statistics import NOTHING, Estimate, cluster_bootstrap, clustered_mean
from utils.records import ConversationRecord, Solution
from utils.students.help import ARMS

Records = Sequence[ConversationRecord]
Check = Callable[[str], bool]
STUDENTS_NAME = "students.json"


def measured_students(
    records: Records, checks: Mapping[str, Check] | None = None
) -> dict[str, dict[str, Any]]:
    """The content of students.json: by name, the students whose conversations were forked.

    `checks`: by student, whether a message of theirs is in character.
    """
    by_name: dict[str, list[ConversationRecord]] = defaultdict(list)
    for record in records:
        if record.help:
            by_name[record.student_persona].append(record)
    given = checks or {}
    return {name: _measured(by_name[name], given.get(name)) for name in sorted(by_name)}


def _measured(records: Records, check: Check | None) -> dict[str, Any]:
    # a conversation that ran out of tokens has not heard its help
    helped = [r for r in records if r.stop_reason == "tutor_ended"]
    arms = {arm: [r for r in helped if r.help == arm] for arm in ARMS}
    rates = {
        arm: mean_of(rows, lambda r: solve_rate(r.solutions), share=True)
        for arm, rows in arms.items()
    }
    first = records[0]
    return {
        "kind": first.student_kind,
        "held_out": first.student_held_out,
        "before": mean_of(records, solve_before, share=True).to_json(),
        **{arm: rate.to_json() for arm, rate in rates.items()},
        "selectivity": selectivity(arms, rates).to_json(),
        "believed": _kept(records, lambda r: r.initial_solutions).to_json(),
        "hold": _kept(arms["generic"], lambda r: r.solutions).to_json(),
        "in_character": in_character(records, check).to_json(),
        "conversations": len(records),
        "failed": sum(r.stop_reason == "error" for r in records),
        "cut": sum(r.stop_reason == "max_tokens" for r in records),
        "cost": _cost(records),
    }


def selectivity(arms: Mapping[str, Records], rates: Mapping[str, Estimate]) -> Estimate:
    """targeted - max(misaligned, generic), from 1 (only its own step helps) down to -1.

    The interval draws whole problems; None where fewer than ten leave too little to draw from.
    """
    means = [rates[arm].mean for arm in ARMS]
    if any(mean is None for mean in means):
        return NOTHING
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * (2 * len(ARMS)))
    for place, arm in enumerate(ARMS):
        for record in arms[arm]:
            if (rate := solve_rate(record.solutions)) is not None:
                sums[record.problem_id][2 * place] += rate
                sums[record.problem_id][2 * place + 1] += 1
    interval = cluster_bootstrap([sums[key] for key in sorted(sums)], _selectivity)
    low, high = interval if interval is not None else (None, None)
    totals = [sum(column) for column in zip(*sums.values(), strict=True)]
    return Estimate(
        mean=_selectivity(totals),
        se=None,
        n=sum(rates[arm].n for arm in ARMS),
        clusters=len(sums),
        low=low,
        high=high,
    )


def _selectivity(totals: Sequence[float]) -> float | None:
    if not all(totals[1::2]):
        return None
    targeted, misaligned, generic = (totals[i] / totals[i + 1] for i in range(0, len(totals), 2))
    return targeted - max(misaligned, generic)


def _kept(
    records: Records, solutions: Callable[[ConversationRecord], Sequence[Solution]]
) -> Estimate:
    """Share of solutions that give the misconception's answer, of problems that it speaks of."""

    def share(record: ConversationRecord) -> float | None:
        expected, found = record.misconception_answer, solutions(record)
        if expected is None or not found:
            return None
        return fmean(float(s.answer is not None and equal(s.answer, expected)) for s in found)

    return mean_of(records, share, share=True)


def in_character(records: Iterable[ConversationRecord], check: Check | None) -> Estimate:
    """Share of the student's messages that pass a check; nothing without one.

    Of an adversarial student, those of its rounds of pressure.
    """
    if check is None:
        return NOTHING
    values: list[tuple[str, float]] = []
    for record in records:
        said = [m.visible for m in record.messages if m.role == "student" and not m.speaker]
        if record.student_kind == "adversarial":
            said = said[: record.student_rounds]
        values += [(record.problem_id, float(check(message))) for message in said]
    return clustered_mean(values, share=True)


def _cost(records: Records) -> dict[str, float]:
    """Of one conversation on average, the student's side: what a measurement costs."""
    used = [u for r in records for role, u in r.usage.items() if role.startswith("student")]
    return {
        "requests": sum(u.requests for u in used) / len(records),
        "tokens": sum(u.prompt_tokens + u.completion_tokens for u in used) / len(records),
        "usd": sum(u.cost_usd for u in used) / len(records),
    }


# -- what training hears of it ---------------------------------------------------------------


def warnings(path: Path, students: Iterable[str], least: float) -> list[str]:
    """A line for each of these students whose selectivity was measured and is below `least`.

    Raises ConfigError for a file that is none of `eval.py --config-name students`.
    """
    key = "generation.students_measured"
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
        found = {name: measured[name]["selectivity"] for name in students if name in measured}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{key}: {path}: no measurement of students ({error})") from error
    return [
        f"{name}: selectivity {entry['mean']:.2f} is below {least:g} "
        "(generation.min_selectivity): what it learns hardly depends on what it is told"
        for name, entry in sorted(found.items())
        if entry["mean"] is not None and entry["mean"] < least
    ]
