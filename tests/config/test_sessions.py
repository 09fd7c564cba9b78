"""Settings of sessions that cannot be had together are refused in one line."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from config.schema import EvalConfig, TrainRLConfig
from utils.settings.hydra_entry import load_config


@pytest.mark.parametrize(
    ("folder", "schema", "given", "words"),
    [
        ("train_rl", TrainRLConfig, ["generation.problems_per_session=0"], "at least 1"),
        ("train_rl", TrainRLConfig, ["generation.session_reward=each"], "needs .* above 1"),
        ("train_rl", TrainRLConfig, ["generation.session_reward=all"], "is not one of last, each"),
        ("eval", EvalConfig, ["generation.problems_per_session=3", "eval.task=students"], "one pr"),
    ],
)
def test_what_cannot_be_is_refused(folder: str, schema: type, given: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^generation\.\w+: .*{words}"):
        load_config(f"config/{folder}", schema, "toy", given)
