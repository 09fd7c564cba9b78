"""Help of three kinds, to find out what a student reacts to (HoldFast, SFS: arXiv 2605.12748).

Targeted help is a step of the student's own problem, misaligned help the same of another problem,
generic help is cheering.  `eval.help` names who gives it: `tutor` (the tutor's own turns), or a
function `(kind, problem, seed) -> turns` of the kinds below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from utils.data.problems import Problem
from utils.seeding import keyed_choice
from utils.students.malrules import plain

Kind = Literal["step", "generic"]
Help = Callable[[Kind, Problem, int], Sequence[str]]
ARMS = ("targeted", "misaligned", "generic")

GENERIC = (
    "You are doing well. Take your time, and try it once more.",
    "I am sure that you can do this. Read it again calmly.",
    "Nice work so far. Keep going, you are close.",
    "Mistakes are part of learning. Have another look at it.",
)
_SUM = re.compile(r"(?<![\d.])(\d+)\s*\+\s*(\d+)(?![\d.])")
_PRODUCT = re.compile(r"(?<![\d.])(\d+)\s*\*\s*(\d+)(?![\d.])")


def generic(problem: Problem, seed: int) -> str:
    """A cheering turn that says nothing of any problem."""
    return keyed_choice(GENERIC, "generic", seed, problem.id)


def arithmetic(kind: Kind, problem: Problem, seed: int) -> list[str]:
    """Help with a sum or a product of two whole numbers: its first step, done.

    Raises ValueError for a problem that is neither.
    """
    if kind == "generic":
        return [generic(problem, seed)]
    text = plain(problem.text)
    if found := _PRODUCT.search(text):
        a, b = int(found[1]), int(found[2])
        return [f"{a} * {b} is {b} times {a}. {b - 1} times {a} is {a * (b - 1)}; one {a} is left."]
    if found := _SUM.search(text):
        a, b = int(found[1]), int(found[2])
        tens = b // 10 * 10 if b > 10 and b % 10 else b // 2  # something is left to do
        return [
            f"Go in two steps from {a}: add {tens} first, that is {a + tens}; {b - tens} are left."
        ]
    raise ValueError(f"{problem.id}: no sum or product of two whole numbers: {problem.text!r}")
