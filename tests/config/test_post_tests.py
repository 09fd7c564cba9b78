"""Settings of post-tests: what each stands for, and combinations that would measure nothing."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from config.post_tests import post_tests_of, rewarded_test, wants_transfer
from config.schema import EvalConfig, GenerationSettings, TrainRLConfig
from utils.settings.hydra_entry import load_config


def load(*overrides: str) -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, "toy", overrides)


@pytest.mark.parametrize(
    ("changes", "tests", "rewarded"),
    [
        ({}, ("same",), "same"),
        ({"post_test": "transfer"}, ("transfer",), "transfer"),
        ({"post_test": "both"}, ("same", "transfer"), "transfer"),
        ({"post_test": "both", "rewarded_test": "same"}, ("same", "transfer"), "same"),
    ],
)
def test_the_tests_of_a_setting(
    changes: dict[str, str], tests: tuple[str, ...], rewarded: str
) -> None:
    generation = GenerationSettings(**changes)  # type: ignore[arg-type]
    assert post_tests_of(generation) == tests and rewarded_test(generation) == rewarded
    assert wants_transfer(generation) == ("transfer" in tests)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["generation.post_test=other"], "generation.post_test: 'other' is not one of same, tr"),
        (["generation.gain=all"], "generation.gain: 'all' is not one of solve, difference, norm"),
        (["generation.long_turn_tokens=-1"], "generation.long_turn_tokens: must be at least 0"),
        (
            ["generation.gain=difference", "generation.number_initial_attempts=0"],
            "generation.gain: difference compares with the solutions before; it needs "
            "generation.number_initial_attempts, which is 0",
        ),
        (
            ["generation.student_transfer_prompt_path=none.txt"],
            "generation.student_transfer_prompt_path: no such prompt file: none.txt",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_an_evaluation_measures_before_unless_told_not_to() -> None:
    def evaluation(*overrides: str) -> EvalConfig:
        return load_config("config/eval", EvalConfig, "toy", overrides)

    assert evaluation("generation.gain=normalised").generation.gain == "normalised"
    with pytest.raises(ConfigError, match=r"^generation\.gain: normalised compares"):
        evaluation("generation.gain=normalised", "recompute_initial_attempts=false")
    with pytest.raises(ConfigError, match=r"^eval\.control: retry tries the problem itself"):
        evaluation("generation.post_test=transfer", "eval.control=retry")
    with pytest.raises(ConfigError, match=r"^generation\.post_test: transfer needs"):
        evaluation("generation.post_test=transfer", "generation.number_student_attempts=0")
