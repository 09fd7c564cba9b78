"""Which tokens belong to which tutor turn."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import RunError
from config.schema import GenerationSettings, RewardEntry, TrainSettings, paper_rewards
from utils.credit.outcomes import outcome_of, runs_of
from utils.credit.settings import credit_of
from utils.records import ConversationRecord, Message, Trajectory


def record(mask: list[int] | None, *tokens: int) -> ConversationRecord:
    row: Any = None
    if mask is not None:
        row = Trajectory(
            prompt_ids=[1],
            completion_ids=[2] * len(mask),
            mask=mask,
            logprobs=[-1.0 if m else None for m in mask],
        )
    messages = []
    for n in tokens:
        messages.append(Message(role="teacher", content="a", visible="a", tokens=n))
        messages.append(Message(role="student", content="b", visible="b", tokens=1))
    return ConversationRecord(
        problem_id="p", problem="?", answer="1", messages=messages, trajectory=row
    )


def places(found: ConversationRecord) -> list[tuple[int, int]]:
    return [(t.start, t.end) for t in outcome_of(found).turns]


def test_each_run_of_sampled_tokens_is_a_turn() -> None:
    assert list(runs_of([1, 1, 0, 1, 0, 0, 1])) == [(0, 2), (3, 4), (6, 7)]
    assert places(record([1, 1, 0, 1, 0, 0, 1], 2, 1, 1)) == [(0, 2), (3, 4), (6, 7)]


def test_a_turn_of_which_nothing_was_sampled_has_no_tokens() -> None:
    assert places(record([1, 1, 0, 1], 2, 0, 1)) == [(0, 2), (0, 0), (3, 4)]


def test_an_older_record_without_counts() -> None:
    assert places(record([1, 1, 0, 1], 0, 0)) == [(0, 2), (3, 4)]


def test_a_tutor_without_ids() -> None:
    assert places(record(None, 5, 5)) == [(0, 0), (0, 0)]


def test_what_does_not_match_is_said() -> None:
    with pytest.raises(RunError, match="3 tutor turns, of which 0 empty, and 2 runs"):
        outcome_of(record([1, 1, 0, 1], 1, 1, 1))


def test_weights_of_parts_are_those_that_spread_takes_away() -> None:
    entries = paper_rewards() | {"mine": RewardEntry("a:b", -2.0), "off": RewardEntry("a:c", 0.0)}
    generation = GenerationSettings(extra_penalty_for_rejected_judges=0.75, rewards=entries)
    credit = credit_of(TrainSettings(advantages="per_reward"), generation)
    assert credit.weights == {
        "solve": 1.0, "pedagogy": 0.75, "thinking": 0.5, "end_of_conversation": 0.1, "length": 0.5,
        "mine": -2.0,
    }  # fmt: skip
    generation.extra_penalty_for_rejected_judges = 0.0
    again = credit_of(TrainSettings(advantages="per_reward"), generation).weights
    assert again is not None and "pedagogy" not in again
    assert credit_of(TrainSettings(objective="dr_grpo"), generation).scale == "none"
