"""A reward of a user's own: one function outside the project, and one line of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError, RunError
from config.schema import GenerationSettings, RewardEntry, RewardModelSettings, paper_rewards
from tests.utils.test_rewards import record, tutor
from utils.metrics.conversation import summarise
from utils.rewards import RewardSettings, rewards

CODE = """
def politeness(record, settings):
    turns = [m.visible for m in record.messages if m.role == "teacher"]
    return sum("please" in turn for turn in turns) / len(turns)

def fails(record, settings):
    return 1 / 0

def infinite(record, settings):
    return float("inf")

def nothing(record, settings):
    return None
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "my_rewards.py"
    path.write_text(CODE)
    return path


def settings_with(function: str, *, hard: bool = False, weight: float = 0.2) -> RewardSettings:
    entries = paper_rewards() | {"politeness": RewardEntry(function, weight)}
    generation = GenerationSettings(
        rewards=entries, ignore_rejected_judge=not hard, extra_penalty_for_rejected_judges=0.75
    )
    return RewardSettings.of(generation, RewardModelSettings())


def test_it_is_weighted_summed_recorded_and_measured(module: Path) -> None:
    settings = settings_with(f"{module}:politeness")
    talk = record(tutor("Go on, please.", "Why?"))
    values = rewards(talk, settings)
    assert values["politeness"] == pytest.approx(0.1)
    assert values["total"] == pytest.approx(0.75 + 0.1)
    assert list(values) == [*paper_rewards(), "politeness", "total"]
    talk.rewards = values
    assert summarise([talk])["reward_politeness"].mean == pytest.approx(0.1)


def test_a_hard_rejection_gets_the_penalty_alone(module: Path) -> None:
    settings = settings_with(f"{module}:politeness", hard=True)
    values = rewards(record(tutor("please"), {"leak": "R"}), settings)
    assert values["total"] == -0.75 == values["pedagogy"] and values["politeness"] == 0.0
    soft = settings_with(f"{module}:politeness")
    assert rewards(record(tutor("please"), {"leak": "R"}), soft)["politeness"] == 0.2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "its function raised ZeroDivisionError: division by zero"),
        ("infinite", "its function gave inf, not a finite number"),
        ("nothing", "its function gave None, not a finite number"),
    ],
)
def test_what_fails_ends_the_run_and_never_becomes_zero(module: Path, name: str, said: str) -> None:
    with pytest.raises(RunError, match=rf"^generation\.rewards\.politeness: {said}$"):
        rewards(record(), settings_with(f"{module}:{name}"))


def test_what_is_not_there_is_said_before_the_run(module: Path) -> None:
    with pytest.raises(ConfigError, match=r"^generation\.rewards\.politeness\.function: "):
        settings_with(f"{module}:impoliteness")


def test_weights_multiply_the_penalty_too() -> None:
    entries = paper_rewards() | {"pedagogy": RewardEntry("utils.rewards:pedagogy", 2.0)}
    generation = GenerationSettings(rewards=entries, extra_penalty_for_rejected_judges=0.75)
    settings = RewardSettings.of(generation, RewardModelSettings())
    assert rewards(record(verdicts={"leak": "R"}), settings)["pedagogy"] == -1.5
