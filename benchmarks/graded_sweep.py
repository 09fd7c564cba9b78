"""The question of student_sweep, asked of students that are a trained model and no rule.

    python -m benchmarks.graded_sweep --json docs/graded_sweep.json \\
        --picture docs/images/graded_sweep.svg [--jobs 2] [OVERRIDE ...]

They are toy/checkpoints/graded.  Their selectivity is what `eval.py --config-name toy_graded`
measures, docs/students.md has it beside that of the rules.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from benchmarks.student_sweep import KL, STUDENTS, SWEEP
from benchmarks.sweep import Setting, main

MODEL = "student_model.model_name_or_path=toy/checkpoints/graded"
PERSONAS = {"plain": "student"}  # prompt_templates/toy/NAME.txt, where it is not the student's name

GRADED = replace(
    SWEEP,
    name="graded_sweep",
    title="toy classroom by student, one trained model: mean over seeds ± 95 %",
    settings=[
        Setting(
            name=f"{student}-kl-{kl.split()[0]}",
            facts={"selectivity": aim, "kl": kl},
            overrides=(
                MODEL,
                "+generation.students.graded.persona="
                f"prompt_templates/toy/{PERSONAS.get(student, student)}.txt",
                *overrides,
            ),
        )
        for aim, student in STUDENTS.items()
        for kl, overrides in KL.items()
    ],
)

if __name__ == "__main__":
    sys.exit(main(GRADED))
