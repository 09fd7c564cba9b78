"""The question of student_sweep, asked of students that are a trained model and no rule.

    python -m benchmarks.graded_sweep --json docs/graded_sweep.json \\
        --picture docs/images/graded_sweep.svg [--jobs 2] [OVERRIDE ...]

They are toy/checkpoints/graded.  `selectivity` in a row is what a student was made for;
`eval.py --config-name toy_graded` measures it (docs/students.md).
"""

from __future__ import annotations

import sys
from dataclasses import replace

from benchmarks import student_sweep
from benchmarks.sweep import main
from toy.students import MANNERS

MODEL = "student_model.model_name_or_path=toy/checkpoints/graded"


def by_model(student: str) -> tuple[str, ...]:
    persona = f"prompt_templates/toy/{MANNERS[student].persona}.txt"
    return MODEL, f"+generation.students.graded.persona={persona}"


SWEEP = replace(
    student_sweep.SWEEP,
    name="graded_sweep",
    title="toy classroom by student, one trained model: mean over seeds ± 95 %",
    settings=student_sweep.settings(by_model),
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
