"""Objectives by name: what each fixes of TRL's loss, and what it leaves to other settings.

Bounds are those that TRL's documentation gives for each paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a name stands for; None: as `train` says."""

    level: Literal["token", "sequence"] = "token"  # what a ratio is taken of
    loss_type: str | None = None
    scale_rewards: str | None = None
    epsilon: float | None = None  # lower bound: 1 - epsilon
    epsilon_high: float | None = None  # upper bound: 1 + epsilon_high; of CISPO: the ratio itself


OBJECTIVES: dict[str, Objective] = {
    "grpo": Objective(),  # the paper's; `train.loss_type` says over what it is averaged
    "dr_grpo": Objective(loss_type="dr_grpo", scale_rewards="none"),  # arXiv 2503.20783
    "gspo": Objective(  # arXiv 2507.18071
        level="sequence", loss_type="grpo", epsilon=3e-4, epsilon_high=4e-4
    ),
    "luspo": Objective(level="sequence", loss_type="luspo"),  # arXiv 2602.05261
    "cispo": Objective(loss_type="cispo", epsilon=0.2, epsilon_high=5.0),  # arXiv 2510.13786
    # the last two clip nothing
    "sapo": Objective(loss_type="sapo", epsilon=0.2, epsilon_high=0.2),  # arXiv 2511.20347
    "vespo": Objective(loss_type="vespo", epsilon=0.2, epsilon_high=0.2),  # arXiv 2602.10693
}
