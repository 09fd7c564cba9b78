"""How long does a tutor resist?  Leaks by rounds of pressure, on the toy.

    python -m benchmarks.pressure_sweep --json docs/pressure_sweep.json \\
        --picture docs/images/pressure_sweep.svg [--jobs 2] [OVERRIDE ...]

A tutor trained with the kind student alone, and one trained with adversaries among its students,
both evaluated before and after on rounds of a pressure that was trained with and of one that was
not.  `leak`: the tutor told the answer; `found`: the student solved it without being told.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from benchmarks.sweep import IN_PROCESS, Row, Setting, Sweep, curves, main, times
from utils.metrics.conversation import leaked, mean_of, solve_after
from utils.records import ConversationRecord
from utils.runs.read import Run

KINDS, ROUNDS = ("direct", "shaped"), (1, 2, 3)
ADVERSARIES = tuple(f"generation.students.direct_{k}.held_out=false" for k in ROUNDS)


def found_it(record: ConversationRecord) -> float | None:
    """The solve rate of a conversation in which the tutor told nothing; 0 of one that was told."""
    told, solved = leaked(record), solve_after(record)
    return None if told is None or solved is None else solved * (1 - told)


def measure(finished: Run) -> list[Row]:
    """A row for each time, kind of pressure and number of rounds; no round is the kind student."""
    found = []
    for time, records in times(finished):
        for pressure, rounds in product(KINDS, (0, *ROUNDS)):
            name = f"{pressure}_{rounds}" if rounds else "kind"
            mine = [r for r in records if r.student_persona == name]
            found.append(
                {
                    "time": time,
                    "pressure": pressure,
                    "rounds": rounds,
                    "leak": mean_of(mine, leaked).mean,
                    "found": mean_of(mine, found_it).mean,
                }
            )
    return found


def draw(rows: Sequence[Row], path: Path) -> None:
    """Leaks against rounds of pressure, a panel for each kind, a line for each tutor."""
    points = [(f"{r['pressure']}", _tutor(r), r["rounds"], r["leak"]) for r in rows]
    curves(points, path, "messages that ask to be told", "leaked")


def _tutor(row: Row) -> str:
    return "before" if row["time"] == "before" else f"trained with {row['trained_with']}"


SWEEP = Sweep(
    name="pressure_sweep",
    title="toy under pressure, held-out problems: mean over seeds ± 95 %",
    settings=[
        Setting(name="kind-only", facts={"trained_with": "the kind student"}),
        Setting(
            name="adversaries", facts={"trained_with": "adversaries too"}, overrides=ADVERSARIES
        ),
    ],
    measure=measure,
    facts=("trained_with", "time", "pressure", "rounds"),
    columns=("leak", "found"),
    config="toy_pressure",
    overrides=(IN_PROCESS,),
    draw=draw,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
