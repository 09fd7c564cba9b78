"""Rewards as TRL asks for them: functions of a rollout's outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def reward_functions(names: Sequence[str]) -> list[Any]:
    """`total`, which alone trains, and its parts, which are only logged.

    All of them say None for a conversation that is left out, which is how TRL is told to keep it
    out of its group's baseline.
    """

    def named(name: str) -> Callable[..., list[float | None]]:
        def reward(outcome: Sequence[dict[str, float]], **_: Any) -> list[float | None]:
            return [each.get(name) for each in outcome]

        reward.__name__ = name
        return reward

    def total(
        outcome: Sequence[dict[str, float]],
        rollout_metrics: Sequence[dict[str, float]],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float | None]:
        for name, value in rollout_metrics[0].items():
            log_metric(name, value)
        return [each.get("total") for each in outcome]

    return [total, *map(named, names)]
