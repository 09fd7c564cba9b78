"""Help with small sums and products: a step of the problem, and never its result."""

from __future__ import annotations

import pytest

from utils.answers.reading.spoken_numbers import numbers_in
from utils.data.problems import Problem
from utils.students.help import arithmetic


@pytest.mark.parametrize("sign", ["+", "*", r"\times"])
def test_a_step_is_the_problems_own_and_leaves_something_to_do(sign: str) -> None:
    for a in range(3, 60, 7):
        for b in range(2, 40, 3):
            right = a + b if sign == "+" else a * b
            problem = Problem(id="p", text=f"What is {a} {sign} {b}?", answer=str(right))
            [said] = arithmetic("step", problem, 0)
            assert a in numbers_in(said) and right not in numbers_in(said)
            [cheering] = arithmetic("generic", problem, 0)
            assert not numbers_in(cheering)


def test_a_problem_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no sum or product"):
        arithmetic("step", Problem(id="p", text="How many apples?", answer="3"), 0)
