"""The nearest right name, for keys and flags."""

from __future__ import annotations

import pytest

from config.schema import TrainRLConfig, TrainSFTConfig
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


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("train.lr", "train.learning_rate"),
        ("lr", "train.learning_rate"),
        ("generation.lambda", "generation.extra_penalty_for_rejected_judges"),
        ("lambda", "generation.extra_penalty_for_rejected_judges"),
        ("train.batch_size", "train.number_of_problems_per_batch"),
        ("train.num_generations", "train.num_samples_per_problem"),
        ("train.kl_coef", "train.beta"),
    ],
)
def test_what_others_call_a_setting(wrong: str, near: str) -> None:
    said = unknown_key(wrong, TrainRLConfig)
    assert said == f"{wrong}: no such setting; did you mean {near}?"


def test_a_key_that_is_gone_is_known_wherever_it_stands() -> None:
    """Also inside a value that is typed as a whole group: `teacher_model.vllm={use_v0: true}`."""
    for role in ("teacher_model", "student_model", "judge_model", "reward_model"):
        assert "no longer a setting" in unknown_key(f"{role}.vllm.use_v0", TrainRLConfig)
    assert "dataset.eval_datasets" in unknown_key("dataset.val_datasets", TrainSFTConfig)


def test_a_name_of_another_script() -> None:
    said = unknown_key("train.batch_size", TrainSFTConfig)
    assert said.endswith("did you mean train.per_device_train_batch_size?")


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
