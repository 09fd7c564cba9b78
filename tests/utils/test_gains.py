"""Gains and what long turns take off them, computed by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import GenerationSettings, RewardModelSettings
from tests.utils.test_rewards import record, tutor
from utils.gains import gain, hidden_tokens, long_turns, normalised_gain, rate_afterwards
from utils.records import ConversationRecord, Message, Solution, TransferTest
from utils.rewards import RewardSettings, exclusion, rewards


def solutions(right: int, of: int) -> list[Solution]:
    return [Solution(text="", correct=i < right) for i in range(of)]


@pytest.mark.parametrize(
    ("before", "after", "difference", "normalised"),
    [
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 1.0, 1.0, 1.0),
        (0.0, 0.25, 0.25, 0.25),
        (0.5, 0.75, 0.25, 0.5),
        (0.75, 1.0, 0.25, 1.0),
        (0.5, 0.25, -0.25, -0.25),  # a loss is not normalised
        (1.0, 1.0, 0.0, 0.0),  # nothing left to gain: no division by 0
        (1.0, 0.5, -0.5, -0.5),
        (1.0, 0.0, -1.0, -1.0),
    ],
)
def test_gains(before: float, after: float, difference: float, normalised: float) -> None:
    assert gain("solve", before, after) == gain("solve", None, after) == after
    assert gain("difference", before, after) == pytest.approx(difference)
    assert gain("normalised", before, after) == pytest.approx(normalised)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_normalised_gain_of_rates_is_bounded_and_has_the_sign_of_the_difference(
    before: float, after: float
) -> None:
    found = normalised_gain(before, after)
    assert -1 <= found <= 1 + 1e-9
    assert (found > 0) == (after - before > 0) and (found < 0) == (after - before < 0)


def test_a_gain_needs_a_rate_before() -> None:
    with pytest.raises(ValueError, match="needs the rate before"):
        gain("difference", None, 1.0)


def turn(tokens: int, content: str = "x", role: str = "teacher") -> Message:
    return Message(role=role, content=content, visible=content, tokens=tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokens", "factor"), [([150], 1.0), ([300], 0.5), ([450], 0.2), ([100, 300], 0.75), ([], 1.0)]
)
def test_long_turns(tokens: list[int], factor: float) -> None:
    said = [*map(turn, tokens), turn(9999, role="student")]
    assert long_turns(said, 150, 0) == pytest.approx(factor)
    assert long_turns(said, 0, 0) == 1.0


def test_hidden_planning_has_a_limit_of_its_own() -> None:
    half = turn(200, "<think>aaaa</think>bbbb")
    assert hidden_tokens(half) == 100 and hidden_tokens(turn(200, "bbbb")) == 0
    assert long_turns([half], 100, 100) == 1.0
    assert long_turns([half], 50, 0) == long_turns([half], 0, 50) == 0.5
    assert long_turns([half], 50, 50) == 0.25


def held(before: int, after: int, **changes: object) -> ConversationRecord:
    """Four attempts at the other problem before and after, of the problem itself 1 and 3."""
    talk = record(tutor("Go on."), **changes)  # type: ignore[arg-type]
    talk.initial_solutions, talk.solutions = solutions(1, 4), solutions(3, 4)
    talk.transfer = TransferTest(
        problem="q", answer="a",
        initial_solutions=solutions(before, 4), solutions=solutions(after, 4),
    )  # fmt: skip
    return talk


def of(**changes: object) -> RewardSettings:
    values = {"extra_penalty_for_rejected_judges": 0.75, "number_initial_attempts": 4}
    return RewardSettings.of(GenerationSettings(**(values | changes)), RewardModelSettings())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.75),
        ({"gain": "difference"}, 0.5),
        ({"gain": "normalised"}, 2 / 3),
        ({"post_test": "transfer"}, 0.5),
        ({"post_test": "transfer", "gain": "normalised"}, 0.0),
        ({"post_test": "both", "gain": "difference"}, 0.0),
        ({"post_test": "both", "rewarded_test": "same"}, 0.75),
        ({"post_test": "same", "rewarded_test": "transfer"}, 0.75),
    ],
)
def test_what_is_rewarded_is_a_setting(changes: dict[str, str], expected: float) -> None:
    assert rewards(held(2, 2), of(**changes))["solve"] == pytest.approx(expected)


def test_long_turns_take_their_part_off_what_was_gained_and_not_off_a_loss() -> None:
    gained, lost = held(0, 4), held(4, 0)
    for talk in (gained, lost):
        talk.messages = [turn(300)]
    made = of(post_test="transfer", gain="normalised", long_turn_tokens=150)
    assert rewards(gained, made)["solve"] == 0.5
    assert rewards(lost, made)["solve"] == -1.0


def test_a_rejection_counts_as_before() -> None:
    soft = of(post_test="transfer", gain="difference")
    talk = held(0, 2, verdicts={"leak": "R"})
    assert rewards(talk, soft)["total"] == pytest.approx(0.5 - 0.75)
    hard = of(post_test="transfer", gain="difference", ignore_rejected_judge=False)
    assert rewards(talk, hard)["total"] == -0.75
    assert exclusion(held(0, 2, verdicts={"leak": "-"}), soft) == "missing_verdict"


def test_without_a_rate_before_a_gain_is_unknown_and_never_zero() -> None:
    made = of(post_test="transfer", gain="difference")
    talk = held(0, 2)
    assert talk.transfer is not None
    talk.transfer.initial_solutions = []
    assert exclusion(talk, made) == "no_pre_test" and rewards(talk, made) == {}
    assert exclusion(talk, of(post_test="transfer")) is None
    flat = of(post_test="transfer", gain="difference", ignore_rejected_judge=False)
    rejected = talk.model_copy(update={"verdicts": held(0, 0, verdicts={"leak": "R"}).verdicts})
    assert rewards(rejected, flat)["total"] == -0.75


def test_the_rate_of_whatever_was_asked() -> None:
    talk = held(0, 1)
    assert rate_afterwards(talk) == 0.75
    assert rate_afterwards(talk.model_copy(update={"solutions": []})) == 0.25
    assert rate_afterwards(record(solved="")) is None
