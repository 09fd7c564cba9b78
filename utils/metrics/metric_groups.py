"""Metrics by group: conversation type, source, difficulty, student; the core of metrics.json."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from utils.metrics.conversation import (
    HEADLINE,
    Measured,
    conversation_metrics,
    estimates,
    measure,
    solve_before,
)
from utils.metrics.statistics import Estimate
from utils.records import ConversationRecord


def difficulty(record: ConversationRecord) -> str:
    """A band of difficulty: the data's own level, else a solve rate known beforehand.

    The solve rate is the data's column (any whose name ends in `solve_rate`).  The rate measured
    in this run is used last: banding by it moves noise into `delta` (regression to the mean), so
    its bands are marked "measured".
    """
    level = record.extra.get("level", record.extra.get("difficulty"))
    if isinstance(level, str | int | float) and not isinstance(level, bool):
        return f"level {level}"
    rates = [v for k, v in sorted(record.extra.items()) if k.endswith("solve_rate")]
    known = [float(v) for v in rates if isinstance(v, int | float)]
    rate, mark = (known[0], "") if known else (solve_before(record), " (measured)")
    if rate is None:
        return "unknown"
    for edge, name in ((0.1, "solved <10%"), (0.3, "solved 10-30%"), (0.6, "solved 30-60%")):
        if rate < edge:
            return name + mark
    return "solved >=60%" + mark


GROUPINGS: dict[str, Callable[[ConversationRecord], str]] = {
    "type": lambda record: record.type,
    "source": lambda record: record.source or "unknown",
    "difficulty": difficulty,
    "persona": lambda record: record.student_persona or "none",
}


#: Rows beside the students' own, where the settings name any: who was met in training, and who not.
ROWS_OF_STUDENTS: dict[str, Callable[[ConversationRecord], bool]] = {
    "(overall)": lambda record: True,
    "(in distribution)": lambda record: not record.student_held_out,
    "(held out)": lambda record: record.student_held_out,
}


def by_student(
    measured: Sequence[Measured], names: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """{row: {metric: estimate}} of named students; empty where the settings name none."""
    named = [entry for entry in measured if entry[0].student_kind]
    rows = {
        row: [entry for entry in named if belongs(entry[0])]
        for row, belongs in ROWS_OF_STUDENTS.items()
    }
    for student in sorted({record.student_persona for record, _ in named}):
        rows[student] = [entry for entry in named if entry[0].student_persona == student]
    return {row: estimates(found, names) for row, found in rows.items() if found}


def _in_order(group: str) -> list[tuple[int, int, str]]:
    """Sorts names as people count: level 2 before level 10, `<10%` before `10-30%`."""
    parts = re.findall(r"\d+|\D+", group.replace("<10%", "0"))
    return [(int(p), 0, "") if p.isdigit() else (0, 1, p) for p in parts]


def grouped(
    measured: Sequence[Measured], names: Sequence[str]
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """{grouping: {group: {metric: estimate}}}; groups in order of their names and numbers."""
    tables: dict[str, dict[str, dict[str, Estimate]]] = {}
    for grouping, key in GROUPINGS.items():
        parts: dict[str, list[Measured]] = defaultdict(list)
        for entry in measured:
            parts[key(entry[0])].append(entry)
        ordered = sorted(parts, key=_in_order)
        tables[grouping] = {group: estimates(parts[group], names) for group in ordered}
    if students := by_student(measured, names):
        tables["student"] = students
        del tables["persona"]  # they are its rows too
    return tables


def to_json(records: Sequence[ConversationRecord]) -> dict[str, Any]:
    """The content of metrics.json: {name: {mean, se, n, ...}}, and the same under `by`.

    The names of HEADLINE are always there and come first; a group lacks others without a value.
    """
    names = list(conversation_metrics(records))
    measured = measure(records)
    flat = _entries(estimates(measured, names))
    by = {
        grouping: {
            group: {name: e for name, e in _entries(found).items() if e["n"] or name in HEADLINE}
            for group, found in groups.items()
        }
        for grouping, groups in grouped(measured, names).items()
    }
    return flat | {"by": by}


def _entries(found: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    first = {name: found[name] for name in HEADLINE}
    return {name: estimate.to_json() for name, estimate in (first | dict(found)).items()}
