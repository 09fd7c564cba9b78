"""What settings of credit and objective come to, and what cannot be had together."""

from __future__ import annotations

from pathlib import Path

import pytest
from trl import GRPOConfig

from config.credit import objective_values
from config.errors import ConfigError
from config.roles import roles_of
from config.rules import needs_judge, turn_rules
from config.schema import GenerationSettings, TrainRLConfig, TrainSettings
from src.grpo.arguments import grpo_arguments
from utils.settings.hydra_entry import load_config

RULE = "+generation.turn_rules.leak=matcher"


def load(*changes: str) -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, "toy", list(changes))


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("grpo", ("token", "dapo", "group", 0.2, 0.2)),
        ("dr_grpo", ("token", "dr_grpo", "none", 0.2, 0.2)),
        ("gspo", ("sequence", "grpo", "group", 3e-4, 4e-4)),
        ("luspo", ("sequence", "luspo", "group", 0.2, 0.2)),
        ("cispo", ("token", "cispo", "group", 0.2, 5.0)),
        ("sapo", ("token", "sapo", "group", 0.2, 0.2)),
        ("vespo", ("token", "vespo", "group", 0.2, 0.2)),
    ],
)
def test_what_an_objective_is_for_trl(tmp_path: Path, objective: str, expected: object) -> None:
    found: GRPOConfig = grpo_arguments(load(f"train.objective={objective}"), tmp_path, world_size=1)
    values = (
        found.importance_sampling_level,
        found.loss_type,
        found.scale_rewards,
        found.epsilon,
        found.epsilon_high,
    )
    assert values == expected


def test_what_is_left_open_is_the_users() -> None:
    train = TrainSettings(loss_type="bnpo", epsilon=0.1, scale_rewards="batch")
    found = objective_values(train)
    assert (found.loss_type, found.epsilon, found.epsilon_high) == ("bnpo", 0.1, 0.1)
    assert found.scale_rewards == "batch"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (["train.objective=ppo"], r"^train\.objective: 'ppo' is not one of grpo, dr_grpo, gspo"),
        (["train.credit=token"], r"^train\.credit: 'token' is not one of conversation, turn"),
        (["train.baseline=none"], r"^train\.baseline: "),
        (["train.advantages=each"], r"^train\.advantages: "),
        (["generation.failed_turn=drop"], r"^generation\.failed_turn: 'drop' is not one of record"),
        (["generation.failed_turn=withhold"], r"^generation\.failed_turn: withhold needs gener"),
        (
            [RULE, "generation.failed_turn=penalise", "generation.turn_penalty=0"],
            r"^generation\.turn_penalty: 0 penalises nothing",
        ),
        ([RULE, "generation.turn_penalty=-1"], r"^generation\.turn_penalty: must be at least 0"),
        (["+generation.turn_rules.mine=no/such.txt"], r"^generation\.turn_rules\.mine: no such"),
        (["generation.complaints_path=no/such.txt"], r"^generation\.complaints_path: no such"),
        (
            ["train.objective=gspo", "train.credit=turn"],
            r"^train\.objective: gspo has one ratio for a whole conversation.*train\.credit=turn",
        ),
        (
            ["train.objective=luspo", RULE, "generation.failed_turn=penalise"],
            r"^train\.objective: luspo .*generation\.failed_turn=penalise",
        ),
        (["train.objective=gspo", "train.epsilon=0.1"], r"^train\.epsilon: .*makes it 0\.0003"),
        (["train.objective=cispo", "train.loss_type=bnpo"], r"^train\.loss_type: .*makes it cispo"),
        (["train.objective=dr_grpo", "train.scale_rewards=batch"], r"^train\.scale_rewards: "),
        (
            ["train.advantages=per_reward", "train.scale_rewards=none"],
            r"^train\.advantages: per_reward divides each reward by its spread",
        ),
        (["train.advantages=per_reward", "train.objective=dr_grpo"], r"^train\.advantages: "),
    ],
)
def test_refused(changes: list[str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        load(*changes)


@pytest.mark.parametrize(
    "changes",
    [
        ["train.credit=turn", "train.baseline=leave_one_out", RULE],
        [RULE, "generation.failed_turn=withhold", "generation.turn_penalty=0"],
        ["train.objective=gspo", RULE],  # only recorded
        ["train.objective=vespo", "train.credit=turn"],
        ["train.objective=dr_grpo", "train.loss_type=dr_grpo", "train.scale_rewards=none"],
        ["+generation.turn_rules.gone=none"],
    ],
)
def test_accepted(changes: list[str]) -> None:
    load(*changes)


def test_a_turn_rule_is_a_rule_of_its_own_setting() -> None:
    settings = GenerationSettings(
        turn_rules={"guides": "a.txt", "leak": "matcher", "off": "None"},
        rules_that_see_the_answer=["guides"],
        rules_only_reported=["leak"],
    )
    guides, leak = turn_rules(settings)
    assert guides.of_turn and guides.sees_answer and guides.counts and not leak.counts
    assert guides.setting == "generation.turn_rules.guides"


def test_a_judge_of_turns_is_asked_while_turns_are_taken() -> None:
    """So that it is awake with tutor and student, whatever the residency."""

    def phases(**generation: object) -> frozenset[str] | None:
        settings = GenerationSettings(**generation)  # type: ignore[arg-type]
        role = roles_of(TrainRLConfig(generation=settings)).get("judge")
        return role.phases if role is not None else None

    rules = {"guides": "prompt_templates/judges/turn_guides.txt"}
    assert phases() == {"judging"}
    assert phases(turn_rules=rules) == {"judging", "turns"}
    assert phases(turn_rules=rules, number_judge_attempts=0) == {"turns"}
    assert phases(turn_rules={"a": "matcher"}, number_judge_attempts=0) is None
    assert needs_judge(GenerationSettings(turn_rules=rules, number_judge_attempts=0))
