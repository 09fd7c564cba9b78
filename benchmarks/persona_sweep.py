"""Does a tutor help students that it never met?  Gain on seen and unseen students, on the toy.

    python -m benchmarks.persona_sweep --json docs/persona_sweep.json \\
        --picture docs/images/persona_sweep.svg [--jobs 2] [OVERRIDE ...]

Three students need the steps each in its own way; some are met in training, all afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sweep import IN_PROCESS, Row, Setting, Sweep, curves, main, times
from utils.metrics.conversation import leaked, mean_of, solve_after
from utils.runs.read import Run

STUDENTS = ("ones_first", "tens_first", "together")
MET = {"ones first": STUDENTS[:1], "ones first, tens first": STUDENTS[:2]}


def measure(finished: Run) -> list[Row]:
    """A row for each student: solved before training and after, what it gained, leaks after."""
    (_, before), (_, after) = times(finished)
    found = []
    for name in STUDENTS:
        first, last = ([r for r in x if r.student_persona == name] for x in (before, after))
        start, end = mean_of(first, solve_after).mean, mean_of(last, solve_after).mean
        assert start is not None and end is not None, name
        found.append(
            {
                "student": name,
                "seen": not last[0].student_held_out,
                "before": start,
                "after": end,
                "gain": end - start,
                "leak": mean_of(last, leaked).mean,
            }
        )
    return found


def draw(rows: Sequence[Row], path: Path) -> None:
    """Gain of each student, a line for each training."""
    points = [("", f"trained with {r['met']}", r["student"], r["gain"]) for r in rows]
    curves(points, path, "student", "gain in solve rate by training")


SWEEP = Sweep(
    name="persona_sweep",
    title="toy with students who differ, held-out problems: mean over seeds ± 95 %",
    settings=[
        Setting(
            name=f"met-{len(names)}",
            facts={"met": label},
            overrides=[
                f"generation.students.{name}.held_out={str(name not in names).lower()}"
                for name in STUDENTS
            ],
        )
        for label, names in MET.items()
    ],
    measure=measure,
    facts=("met", "student", "seen"),
    columns=("before", "after", "gain", "leak"),
    config="toy_personas",
    overrides=(IN_PROCESS,),
    draw=draw,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
