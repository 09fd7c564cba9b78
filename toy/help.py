"""Help for the toy's student, in its own language: `eval.help=toy.help:steps`."""

from __future__ import annotations

from toy.world import Sum
from utils.data.problems import Problem
from utils.seeding import keyed_rng
from utils.students.help import Kind


def steps(kind: Kind, problem: Problem, seed: int) -> list[str]:
    """Both steps of the sum, asked for; or cheering, in two turns as well."""
    asked = Sum.parse(problem.text)
    rng = keyed_rng("toy", "help", kind, problem.id, seed)
    return [asked.hint(part, rng) for part in {"step": ("ones", "tens"),
                                               "generic": ("cheer", "close")}[kind]]  # fmt: skip
