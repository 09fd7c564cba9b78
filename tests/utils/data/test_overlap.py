"""Held-out problems that are trained on too."""

from __future__ import annotations

import pytest

from utils.data.overlap import say_shared
from utils.data.problems import Problem


def test_shared_texts_and_ids_are_said_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    train = [Problem(id=f"t{i}", text=f"What is {i} + {i}?", answer=str(2 * i)) for i in range(3)]
    held_out = [
        Problem(id="x", text=" what is 1 +\n1?", answer="2"),
        Problem(id="t2", text="Other?", answer="1"),
        Problem(id="y", text="New?", answer="1"),
    ]
    assert say_shared(train, held_out) == 2
    assert (
        "dataset.eval_datasets: 2 of 3 held-out problems are training problems too (1 by their "
        "text, 1 by their id" in caplog.text
    )


def test_the_options_tell_problems_apart(caplog: pytest.LogCaptureFixture) -> None:
    one, other = (
        Problem(id=i, text="Which?", answer="A", extra={"choices": [i, "9"]}) for i in "ab"
    )
    assert say_shared([one], [other]) == 0 and not caplog.text


def test_the_other_problems_of_a_transfer_test_count_on_both_sides() -> None:
    def problem(text: str, other: str) -> Problem:
        return Problem(id=text, text=text, answer="1").with_transfer(other, "2")

    train = [problem("a", "b")]
    for held_out, shared in ((problem("c", "d"), 0), (problem("B", "d"), 1), (problem("c", "a"), 1),
                             (problem("c", " b"), 1)):  # fmt: skip
        assert say_shared(train, [held_out]) == shared
