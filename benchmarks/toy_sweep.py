"""The toy classroom at several penalties: solve rate against leaks, three seeds each.

    python -m benchmarks.toy_sweep [OVERRIDE ...] [--json FILE] [--seeds 1 2 3]

What is reported comes from the last evaluation on held-out problems.
"""

from __future__ import annotations

import sys

from benchmarks.sweep import Row, Setting, Sweep, learnt, main
from utils.metrics.conversation import mean_of
from utils.runs.read import Run

SETTINGS = ((0.0, False), (0.1, False), (0.25, False), (0.75, False), (0.75, True))


def measure(run: Run) -> list[Row]:
    """Means over the conversations that the run is judged by."""
    ended, began = run.folder / "finished", run.folder / "config.yaml"
    return [
        {
            **learnt(run),
            "turns": mean_of(run.final, lambda r: float(len(r.messages))).mean,
            "seconds": round(ended.stat().st_mtime - began.stat().st_mtime, 1),
        }
    ]


SWEEP = Sweep(
    name="toy_sweep",
    title="toy classroom, held-out problems: mean over seeds ± 95 %",
    settings=[
        Setting(
            name=f"lambda{penalty:g}{'-hard' if hard else ''}",
            facts={"lambda": penalty, "hard": hard},
            overrides=(
                f"generation.extra_penalty_for_rejected_judges={penalty}",
                f"generation.ignore_rejected_judge={str(not hard).lower()}",
            ),
        )
        for penalty, hard in SETTINGS
    ],
    measure=measure,
    facts=("lambda", "hard"),
    columns=("solve", "leak", "real_teaching", "turns", "seconds"),
    digits={"seconds": 0},
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
