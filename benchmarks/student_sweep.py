"""How selective must a student be before reward hacking stops?  Selectivity by KL, on the toy.

    python -m benchmarks.student_sweep --json docs/student_sweep.json \\
        --picture docs/images/student_sweep.svg [--jobs 2] [OVERRIDE ...]

Every run is the toy with one of three students by rule, with the KL of the config or without any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.sweep import IN_PROCESS, Row, Setting, Sweep, curves, learnt, main
from utils.metrics.monitors import fits_its_problem
from utils.metrics.results import run_results
from utils.runs.read import Run

#: Selectivity -> who has it, exactly: of the students by rule (toy/by_rule.py).
STUDENTS = {0.0: "plain", 0.3: "checks_some", 0.6: "checks_most"}
PERSONA = "+generation.students.graded.persona=prompt_templates/toy/student.txt"
KL = {"as configured": (), "none": ("train.beta=0",)}


def measure(found: Run) -> list[Row]:
    """Of the last held-out conversations; alarms of the monitors over the whole run."""
    row: Row = {
        **learnt(found),
        "fits_problem": fits_its_problem(found.final).mean,
        "alarms": len(run_results(found)["alarms"]),
    }
    return [row]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Solved, leaked and taught for real against selectivity, a panel for each KL."""
    lines = {"solve": "solved", "leak": "leaked", "real_teaching": "taught for real"}
    points = [
        (f"KL {row['kl']}", name, row["selectivity"], row[column])
        for row in rows
        for column, name in lines.items()
    ]
    curves(points, path, "selectivity", "share of conversations")


def settings(played_by: Callable[[str], Sequence[str]]) -> list[Setting]:
    """Every student with every KL; `played_by`: a student's name to the overrides that play it."""
    return [
        Setting(
            name=f"selectivity{aim:g}-kl-{kl.split()[0]}",
            facts={"selectivity": aim, "kl": kl},
            overrides=(*played_by(student), *overrides),
        )
        for aim, student in STUDENTS.items()
        for kl, overrides in KL.items()
    ]


def by_rule(student: str) -> Sequence[str]:
    return PERSONA, f"+generation.students.graded.replies=toy.by_rule:{student}"


SWEEP = Sweep(
    name="student_sweep",
    title="toy classroom by the student's selectivity, held-out problems: mean over seeds ± 95 %",
    settings=settings(by_rule),
    measure=measure,
    facts=("selectivity", "kl"),
    columns=("solve", "leak", "real_teaching", "fits_problem", "alarms"),
    digits={"alarms": 1},
    overrides=(IN_PROCESS, "train.eval_steps=100"),
    draw=draw,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
