"""Does help fade?  Sessions of three sums, rewarded by the last or by each, on the toy.

    python -m benchmarks.session_sweep --json docs/session_sweep.json \\
        --picture docs/images/session_sweep.svg [--jobs 2] [OVERRIDE ...]

The student keeps what he was led through and gets firmer by doing (toy/forgets.py); what he is told
helps him with that sum alone.  What is reported comes from the first and the last evaluation on
held-out problems.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sweep import IN_PROCESS, Row, Setting, Sweep, curves, main, times
from utils.metrics.conversation import summarise
from utils.runs.read import Run

LENGTH = 3
#: What is rewarded, and what a leak costs.
REWARDED = (("each", 0.0), ("last", 0.0), ("each", 0.75), ("last", 0.75))
COLUMNS = (
    "solve_helped_1", "solve_alone_2", "solve_alone_3", "support_tokens_1", "support_tokens_2",
    "fading_slope", "retention", "leaked",
)  # fmt: skip


def measure(finished: Run) -> list[Row]:
    """A row before training and one after: rates and help by position."""
    rows = []
    for time, records in times(finished):
        found = summarise(records)
        helped = [f"{n}_{i}" for n in ("solve_helped", "hints") for i in range(1, LENGTH)]
        alone = [f"solve_alone_{i}" for i in range(1, LENGTH + 1)]
        names = dict.fromkeys((*COLUMNS, *alone, *helped))
        rows.append({"time": time, **{name: found[name].mean for name in names}})
    return rows


def draw(rows: Sequence[Row], path: Path) -> None:
    """The tutor's tokens by position, before and after training, a panel for each reward."""
    points = [
        (f"λ = {row['lambda']:g}, rewarded: {row['rewarded']}", row["time"], place, tokens)
        for row in rows
        for place in range(1, LENGTH + 1)
        for tokens in [row[f"support_tokens_{place}"] if place < LENGTH else 0.0]
    ]
    curves(points, path, "problem of the session", "tutor's tokens")


SWEEP = Sweep(
    name="session_sweep",
    title="toy sessions by what is rewarded, held-out problems: mean over seeds ± 95 %",
    settings=[
        Setting(
            name=f"lambda{penalty:g}-{rewarded}",
            facts={"lambda": penalty, "rewarded": rewarded},
            overrides=(
                f"generation.extra_penalty_for_rejected_judges={penalty}",
                f"generation.session_reward={rewarded}",
            ),
        )
        for rewarded, penalty in REWARDED
    ],
    measure=measure,
    facts=("lambda", "rewarded", "time"),
    columns=COLUMNS,
    config="toy_sessions",
    overrides=(IN_PROCESS,),
    draw=draw,
    digits={"support_tokens_1": 1, "support_tokens_2": 1, "fading_slope": 1},
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
