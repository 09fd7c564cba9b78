"""Which post-test makes a tutor teach?  The same problem or a new one, without a judge, on the toy.

    python -m benchmarks.transfer_sweep --json docs/transfer_sweep.json \\
        --picture docs/images/transfer_sweep.svg [--jobs 2] [OVERRIDE ...]

The student can use on another sum what it worked out itself, and nothing that it was told.  Every
run measures both tests; which one is rewarded, and whether leaks are, differs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sweep import IN_PROCESS, Row, Setting, Sweep, curves, main, times
from config.post_tests import Test
from toy.world import teaches
from utils.metrics.conversation import leaked, mean_of, solve_rate
from utils.records import ConversationRecord
from utils.runs.read import Run

#: What is rewarded: penalty for a leak, and the test.
REWARDED: tuple[tuple[float, Test], ...] = ((0.0, "same"), (0.0, "transfer"), (0.75, "same"))
STUDENT = (
    "+generation.students.learner.persona=prompt_templates/toy/learner.txt",
    "+generation.students.learner.replies=toy.by_rule:learner",
)


def _after(test: Test, records: Sequence[ConversationRecord]) -> float | None:
    return mean_of(records, lambda r: solve_rate(r.tested(test)[1])).mean


def measure(finished: Run) -> list[Row]:
    """A row before training, and one after: both tests, leaks, real teaching."""
    return [
        {
            "time": time,
            "solve_same": _after("same", records),
            "solve_transfer": _after("transfer", records),
            "leak": mean_of(records, leaked).mean,
            "real_teaching": mean_of(records, teaches).mean,
        }
        for time, records in times(finished)
    ]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Each measure before and after, a panel for each reward."""
    lines = {
        "solve_same": "same problem solved", "solve_transfer": "new problem solved",
        "leak": "leaked", "real_teaching": "taught for real",
    }  # fmt: skip
    points = [
        (f"λ = {row['lambda']:g}, rewarded: {row['rewarded']}", name, row["time"], row[column])
        for row in rows
        for column, name in lines.items()
    ]
    curves(points, path, "training", "share")


SWEEP = Sweep(
    name="transfer_sweep",
    title="toy by what is rewarded, held-out problems: mean over seeds ± 95 %",
    settings=[
        Setting(
            name=f"lambda{penalty:g}-{test}",
            facts={"lambda": penalty, "rewarded": test},
            overrides=(
                f"generation.extra_penalty_for_rejected_judges={penalty}",
                f"generation.rewarded_test={test}",
            ),
        )
        for penalty, test in REWARDED
    ],
    measure=measure,
    facts=("lambda", "rewarded", "time"),
    columns=("solve_same", "solve_transfer", "leak", "real_teaching"),
    overrides=(IN_PROCESS, *STUDENT, "generation.post_test=both"),
    draw=draw,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
