"""The content of metrics.json: metrics, control arm, endings, monitors, alarms, agreement.

A benchmark's own numbers (accuracy, win rate) come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from config.functions import load_function
from config.students import SETTING
from utils.metrics.agreement import agreements
from utils.metrics.benchmark_metrics import benchmark_metrics
from utils.metrics.comparable import notes, ped_rm_note
from utils.metrics.conversation import conversation_metrics, mean_of, stop_reasons
from utils.metrics.metric_groups import to_json
from utils.metrics.monitors import readings
from utils.metrics.statistics import paired_difference
from utils.metrics.students import Check, measured_students
from utils.records import ConversationRecord
from utils.runs.read import Run

SCHEMA = 2  # in 1, `leaked` and `rejected` were what `leaked_any` and `rejected_any` are now


def run_results(run: Run) -> dict[str, Any]:
    """Results of a run folder: metrics of its final conversations, monitors over all of it."""
    trained = [r for r in run.records if r.split == "train"]
    found = results(
        run.final,
        history=trained or run.final,
        control=run.control,
        curve=run.curve,
    )
    task = (run.config.get("eval") or {}).get("task", "classroom")
    if task == "students":  # the tutor's words were given: nothing to watch, and no one mean of all
        students = measured_students(run.final, _checks(run.config))
        return found | {"students": students, "monitors": {}, "alarms": []}
    if task == "classroom":
        return found
    failed = {reason: n for reason, n in found["ended"].items() if reason == "error"}
    return benchmark_metrics(run.records) | found | {"ended": failed}  # one answer ends nothing


def _checks(config: Mapping[str, Any]) -> dict[str, Check]:
    """By student, the function that says whether a message is in character."""
    students: Mapping[str, Any] = (config.get("generation") or {}).get("students") or {}
    named = {name: entry.get("check") for name, entry in students.items()}
    return {
        name: load_function(source, f"{SETTING}.{name}.check")
        for name, source in named.items()
        if source
    }


def results(
    final: Sequence[ConversationRecord],
    *,
    history: Sequence[ConversationRecord] = (),
    control: Sequence[ConversationRecord] = (),
    curve: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`{name: {mean, se, n, ...}}`, the same `by` group, and what else a reader should know.

    `history` is where the monitors look for a start to compare with; `curve` is metrics.jsonl.
    """
    watched = readings(history or final, curve)
    metrics = to_json(final)
    by = metrics.pop("by")
    if ped_rm_note(final):
        for name in ("ped_rm_micro", "ped_rm_macro"):
            metrics[name]["comparable"] = False
    return {
        **metrics,
        **control_metrics(final, control),
        "ended": stop_reasons(final),
        "monitors": {r.name: r.to_json() for r in watched},
        "alarms": [f"{r.name}: {r.alarm}" for r in watched if r.alarm],
        "agreement": [a.to_json() for a in agreements(final)],
        "notes": notes(final),
        "schema": SCHEMA,
        "by": by,
    }


def control_metrics(
    records: Sequence[ConversationRecord], control: Sequence[ConversationRecord]
) -> dict[str, Any]:
    """The control arm beside the run: what the student gains by trying again without a tutor.

    `control_delta` is the control's own gain; `control_difference` is what the tutor adds to it:
    the paired difference by problem of the solve rates afterwards.
    """
    if not control:
        return {}
    metrics = conversation_metrics(control)
    after = metrics["solve_after"]

    def pairs(side: Iterable[ConversationRecord]) -> list[tuple[str, float]]:
        return [(r.problem_id, v) for r in side if (v := after(r)) is not None]

    return {
        "control_solve_after": mean_of(control, after, share=True).to_json(),
        "control_delta": mean_of(control, metrics["delta"], signed=True).to_json(),
        "control_difference": paired_difference(
            pairs(control), pairs(records), share=True
        ).to_json(),
    }
