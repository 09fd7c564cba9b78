"""One batch of training conversations as a few numbers for the curves."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from utils.metrics.agreement import agreement_shares
from utils.metrics.conversation import measure, summarise
from utils.metrics.metric_groups import by_student
from utils.metrics.monitors import MONITORS
from utils.metrics.sessions import is_session_curve
from utils.metrics.statistics import Estimate
from utils.records import ConversationRecord

_CURVES = (
    "solve_before",
    "solve_after",
    "delta",
    "solve_after_accepted",
    "delta_accepted",
    "solve_transfer_before",
    "solve_transfer",
    "solve_transfer_accepted",
    "gain_transfer",
    "transfer_gap",
    "leaked",
    "rejected",
    "leaked_any",
    "rejected_any",
    "missing",
    "turns",
    "tutor_tokens",
    "tokens",
    "ended_tutor_ended",
    "ended_error",
)

_BY_STUDENT = (
    "solve_before",
    "solve_after",
    "delta",
    "solve_transfer",
    "gain_transfer",
    "leaked",
    "rejected",
    "turns",
    "reward_total",
)


def rollout_metrics(records: Sequence[ConversationRecord]) -> dict[str, float]:
    """{"classroom/solve_after": 0.4, …, "monitors/…": …, "seconds/TEACHER_TURN": …}.

    Seconds are the mean over conversations, waiting included.  What has no value is left out.
    """
    found = {
        f"classroom/{name}": estimate.mean
        for name, estimate in summarise(records).items()
        if name in _CURVES
        or is_session_curve(name)
        or name.startswith(("rejected_by_", "turns_failed", "turns_withheld"))
    }
    found |= {f"monitors/{m.name}": m.value(records).mean for m in MONITORS}
    shares = agreement_shares(records)
    found |= {f"judges_agree/{name}": share for name, share in shares.items()}
    states = sorted({state for r in records for state in r.timing})
    for state in states:
        found[f"seconds/{state}"] = fmean(r.timing.get(state, 0.0) for r in records)
    found["classroom/excluded"] = fmean(float(r.excluded is not None) for r in records)
    for name, values in student_curves(records).items():
        found[f"students/{name}"] = values.mean
    return {name: float(value) for name, value in found.items() if value is not None}


def student_curves(records: Sequence[ConversationRecord]) -> dict[str, Estimate]:
    """{"shy/solve_after": …, "(held out)/leaked": …} of the students that the settings name."""
    rows = by_student(measure(records), _BY_STUDENT)
    return {
        f"{row}/{name}": found[name]
        for row, found in rows.items()
        for name in _BY_STUDENT
        if name in found
    }
