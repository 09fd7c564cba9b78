"""The toy classroom under four kinds of credit: how soon it learns, and what; three seeds each.

    python -m benchmarks.credit_sweep --json docs/credit_sweep.json \\
        --picture docs/images/credit_sweep.svg [--jobs 2] [OVERRIDE ...]

The student is the toy's, by rule: he believes every question, at exact rates (toy/by_rule.py).
"Conversations until" is when the mean reward of three batches in a row first reaches a mark.
The rest comes from the last evaluation on held-out problems.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.sweep import IN_PROCESS, Row, Setting, Sweep, curves, learnt, main
from utils.metrics.conversation import mean_of
from utils.runs.read import Run

STUDENT = (
    "+generation.students.plain.persona=prompt_templates/toy/student.txt",
    "+generation.students.plain.replies=toy.by_rule:plain",
)
RULES = ("+generation.turn_rules.leak=matcher", "generation.failed_turn=penalise")
KINDS: dict[str, tuple[str, ...]] = {
    "conversation": (),
    "turn": ("train.credit=turn", "train.baseline=leave_one_out", *RULES),
    "per_reward": ("train.advantages=per_reward",),
    "both": (
        "train.credit=turn",
        "train.baseline=leave_one_out",
        "train.advantages=per_reward",
        *RULES,
    ),
}
TURNS = (5, 11)  # messages: three tutor turns, and six
MARK, WINDOW = 0.9, 3


def conversations_until(run: Run, mark: float = MARK, window: int = WINDOW) -> int | None:
    """Training conversations held when the mean reward of `window` batches first reaches `mark`.

    None where it never does.
    """
    rewards: dict[int, list[float]] = defaultdict(list)
    held: dict[int, int] = defaultdict(int)
    for record in run.records:
        if record.split == "train":
            held[record.step] += 1
            if record.rewards:
                rewards[record.step].append(record.rewards["total"])
    steps = sorted(rewards)
    for last in range(window, len(steps) + 1):
        shown = steps[last - window : last]
        if fmean(fmean(rewards[step]) for step in shown) >= mark:
            return sum(n for step, n in held.items() if step <= shown[-1])
    return None


def measure(run: Run) -> list[Row]:
    """When the mark was reached, and means over the last held-out conversations."""
    spoken = mean_of(run.final, lambda r: float(sum(m.role == "teacher" for m in r.messages)))
    return [
        {
            "until": conversations_until(run),
            **learnt(run),
            "tutor_turns": spoken.mean,
        }
    ]


def draw(rows: Sequence[Row], path: Path) -> None:
    """What was learnt under each kind of credit, a panel for each length of conversation."""
    lines = {"solve": "solved", "leak": "leaked", "real_teaching": "taught for real"}
    points = [
        (f"{(row['messages'] + 1) // 2} tutor turns", name, row["kind"], row[column])
        for row in rows
        for column, name in lines.items()
    ]
    curves(points, path, "credit", "share of conversations")


SWEEP = Sweep(
    name="credit_sweep",
    title=f"toy classroom: conversations until reward {MARK}, and what was learnt",
    settings=[
        Setting(
            name=f"{kind}-{turns}",
            facts={"kind": kind, "messages": turns},
            overrides=(f"generation.max_turns={turns}", *KINDS[kind]),
        )
        for turns in TURNS
        for kind in KINDS
    ],
    measure=measure,
    facts=("messages", "kind"),
    columns=("until", "solve", "leak", "real_teaching", "tutor_turns"),
    digits={"until": 0},
    overrides=(IN_PROCESS, *STUDENT, "train.eval_steps=100"),
    draw=draw,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
