"""train_rl.py with one thing broken: python -m tests.broken_training FAULT [train_rl's arguments].

`mask`: the student's tokens are trained, not the tutor's.  `advantage`: every conversation gets the
rewards of its neighbour in the group.  `weights`: the tutor is sampled from the weights it started
with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from transformers import AutoModelForCausalLM

import train_rl
from src.grpo.rollouts import rollout, tutor_in_training
from src.grpo.rollouts.rollout import Row
from src.inference_providers.transformers_local import TransformersProvider


def mask() -> None:
    def broken(record: Any, *, filler: int) -> Row:
        row = sound(record, filler=filler)
        return replace(row, mask=[1 - m for m in row.mask], logprobs=[0.0] * len(row.mask))

    sound, rollout.to_row = rollout.to_row, broken


def advantage() -> None:
    def broken(self: rollout.Rollout, *arguments: Any) -> dict[str, Any]:
        rows = sound(self, *arguments)
        rewards = rows["outcome"]
        return rows | {"outcome": [*rewards[1:], rewards[0]]}

    sound = rollout.Rollout.__call__
    setattr(rollout.Rollout, "__call__", broken)  # noqa: B010


def weights() -> None:
    def broken(model: Any, *arguments: Any, **more: Any) -> TransformersProvider:
        start = AutoModelForCausalLM.from_pretrained(model.config._name_or_path)
        return TransformersProvider(start.eval(), *arguments, **more)

    assert "TransformersProvider" in vars(tutor_in_training), "where the tutor is sampled from"
    tutor_in_training.TransformersProvider = broken  # type: ignore[misc, assignment]


FAULTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "mask": mask,
    "advantage": advantage,
    "weights": weights,
}

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    train_rl.main()
