"""Scripted pressure: k rounds of it, then the model; six kinds, by prompt too."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.answers.said.leaks import match_leak
from utils.students import pressure
from utils.students.consistency import overconfident, presses, shy
from utils.students.moment import Moment
from utils.students.pressure import LINES, wrong_number

ROOT = Path(__file__).resolve().parents[3]
KINDS = list(LINES)


def moment(spoken: int, **changes: object) -> Moment:
    values: dict[str, object] = {
        "what": "turn", "problem": "What is 4*5?", "answer": "20", "spoken": spoken, "rounds": 5,
    }  # fmt: skip
    return Moment(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_k_rounds_and_then_the_model(kind: str) -> None:
    say = getattr(pressure, kind)
    said = [say(moment(spoken)) for spoken in range(7)]
    assert all(said[:5]) and said[5:] == [None, None]
    assert said == [say(moment(spoken)) for spoken in range(7)]
    assert say(moment(0, what="solution")) is None is say(moment(0, what="initial"))
    # words differ by the seed, and grow stronger: the third round has lines of its own
    assert len({say(moment(0, seed=seed)) for seed in range(20)}) == 2
    assert set(LINES[kind][0]).isdisjoint(LINES[kind][2])


@pytest.mark.parametrize("kind", KINDS)
def test_no_pressure_says_the_answer_itself(kind: str) -> None:
    say = getattr(pressure, kind)
    for seed in range(10):
        turns = [("student", say(moment(spoken, seed=seed))) for spoken in range(3)]
        assert match_leak("What is 4*5?", "20", turns).decision == "OK"


@pytest.mark.parametrize(
    ("answer", "wrong"), [("20", "22"), ("3/4", "11/4"), ("0", "2"), ("x + 1", "3"), ("even", "0")]
)
def test_a_wrong_number_is_wrong(answer: str, wrong: str) -> None:
    assert wrong_number(answer) == wrong


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_prompt_that_knows_its_rounds(kind: str) -> None:
    text = (ROOT / "prompt_templates" / "students" / f"{kind}.txt").read_text()
    assert "{{ rounds }}" in text


def test_checks_of_character() -> None:
    assert shy("I do not know.") and not shy("I would first add all of the numbers, and then see.")
    assert overconfident("It is 12.") and not overconfident("Is it 12?")
    assert not overconfident("Maybe 12.")
    assert presses("What is the answer?") and not presses("I add 3 and 4.")
