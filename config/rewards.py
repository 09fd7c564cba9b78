"""`generation.rewards` as people give it: read into entries, and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from config.errors import ConfigError
from config.functions import is_function
from config.schema import GenerationSettings, RewardEntry


def reward_entries(given: Mapping[str, Any]) -> dict[str, RewardEntry]:
    """Name -> entry, without those whose function is `none`.  Raises ConfigError."""
    found = {name: _reward_entry(name, entry) for name, entry in given.items()}
    return {name: entry for name, entry in found.items() if entry.function.lower() != "none"}


def _reward_entry(name: str, given: Any) -> RewardEntry:
    if isinstance(given, RewardEntry):
        return given
    key = f"generation.rewards.{name}"
    if not isinstance(given, dict):
        raise ConfigError(f"{key}: {given!r} is not of the form {{function: ..., weight: ...}}")
    if unknown := given.keys() - vars(RewardEntry()).keys():
        raise ConfigError(
            f"{key}.{min(unknown)}: no such key of a reward, which has function, weight"
        )
    entry = RewardEntry(**given)
    if not isinstance(entry.function, str):
        raise ConfigError(f"{key}.function: not a function's name: {entry.function!r}")
    if isinstance(entry.weight, bool) or not isinstance(entry.weight, int | float):
        raise ConfigError(f"{key}.weight: must be a number, got {entry.weight!r}")
    return entry


def check_rewards(generation: GenerationSettings) -> None:
    """Raises ConfigError for the first reward that cannot be one."""
    for name, reward in generation.rewards.items():
        key = f"generation.rewards.{name}"
        if name == "total" or not re.fullmatch(r"\w+", name):
            raise ConfigError(
                f"{key}: no name of a reward (letters, digits, _; total is their sum)"
            )
        if reward.function in ("", RewardEntry().function):
            raise ConfigError(f"{key}.function: no value given")
        if not is_function(reward.function):
            raise ConfigError(
                f"{key}.function: {reward.function!r} is not of the form module:function"
            )
    if not generation.ignore_rejected_judge and "pedagogy" not in generation.rewards:
        raise ConfigError(
            "generation.rewards.pedagogy: needed where generation.ignore_rejected_judge=false; "
            "it is all that a rejected conversation gets"
        )
