"""Problems made on the spot: which of them tell their own answer."""

from __future__ import annotations

import pytest

from utils.data.procedural import generate, states


@pytest.mark.parametrize(
    ("text", "answer", "stands"),
    [
        ("What is 0 * 1?", "0", True),
        ("What is 10 + 5?", "15", False),
        ("What is 10 + 0?", "10", True),
        ("What is 1.5 + 1?", "5", False),
        ("Is it a boa?", "a", True),
    ],
)
def test_an_answer_that_stands_in_its_problem_is_seen(text: str, answer: str, stands: bool) -> None:
    assert states(text, answer) is stands


def test_problems_that_tell_their_answer_are_left_out_where_asked() -> None:
    parameters = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "size": 40,
                  "question": "What is {expression}?"}  # fmt: skip

    def telling(**more: bool) -> int:
        made = generate("products", "train", 1, {**parameters, **more}, setting="s")
        return sum(states(p.text, p.answer) for p in made)

    assert telling() > 0
    assert telling(answer_in_text=False) == 0
