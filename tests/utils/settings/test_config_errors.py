"""The nearest right name, for keys and flags."""

from __future__ import annotations

import pytest

from config.schema import TrainRLConfig
from utils.settings.config_errors import nearest, schema_keys, unknown_flag, unknown_key
from utils.settings.hydra_entry import hydra_parser


def test_keys_of_the_schema() -> None:
    keys = schema_keys(TrainRLConfig)
    assert {"train", "train.mu", "teacher_model.vllm.top_k", "teacher_model.lora.rank"} <= set(keys)
    assert "student_model.lora" not in keys  # only a tutor has adapters
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("generation.max_turn", "generation.max_turns"),
        ("train.max_turns", "generation.max_turns"),  # the right name in the wrong group
        ("generaton.use_thinking", "generation.use_thinking"),
        ("generation.lambda_penalty_for_rejected_judges", None),  # any near one will do
        ("zzz.qqq", ""),
    ],
)
def test_nearest_key(wrong: str, near: str | None) -> None:
    found = nearest(wrong, schema_keys(TrainRLConfig))
    if near is None:
        assert found == "generation.extra_penalty_for_rejected_judges"
    else:
        assert (found or "") == near


def test_a_key_that_is_gone_is_known_in_every_group() -> None:
    for role in ("teacher_model", "student_model", "judge_model", "reward_model"):
        assert "no longer a setting" in unknown_key(f"{role}.vllm.use_v0", TrainRLConfig)


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--config-nam", "did you mean --config-name?"),
        ("--multrun", "did you mean --multirun?"),
        ("--dryrun", "did you mean --dry-run?"),
        ("--train.mu=4", "settings are given without dashes: train.mu=4"),
        ("--generation.max_turn", "without dashes: generation.max_turns=..."),
        ("--learning-rate", "did you mean train.learning_rate=...?"),
        ("--qqqqqqqq", "no such flag"),
    ],
)
def test_unknown_flags(flag: str, says: str) -> None:
    message = unknown_flag(flag, TrainRLConfig, hydra_parser())
    assert message.startswith(flag.split("=")[0] + ":")
    assert message.endswith(says)
