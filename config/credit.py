"""What `train.objective` and its neighbours come to, and which of them exclude each other."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import ConfigError
from config.objectives import OBJECTIVES
from config.schema import GenerationSettings, TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveValues:
    """TRL's settings for an objective, all of them said."""

    importance_sampling_level: str
    loss_type: str
    scale_rewards: str
    epsilon: float
    epsilon_high: float


def objective_values(train: TrainSettings) -> ObjectiveValues:
    """What `train.objective` and the settings that it leaves open come to."""
    fixed = OBJECTIVES[train.objective]
    return ObjectiveValues(
        importance_sampling_level=fixed.level,
        loss_type=fixed.loss_type or train.loss_type,
        scale_rewards=fixed.scale_rewards or train.scale_rewards,
        epsilon=train.epsilon if fixed.epsilon is None else fixed.epsilon,
        epsilon_high=train.epsilon if fixed.epsilon_high is None else fixed.epsilon_high,
    )


def check_credit(train: TrainSettings, generation: GenerationSettings) -> None:
    """Raises ConfigError where settings of credit and objective cannot be had together."""
    fixed, default = OBJECTIVES[train.objective], TrainSettings()
    for key in ("loss_type", "scale_rewards", "epsilon"):
        decided, given = getattr(fixed, key), getattr(train, key)
        if decided is not None and given not in (decided, getattr(default, key)):
            raise ConfigError(
                f"train.{key}: train.objective={train.objective} makes it {decided}; leave it out"
            )
    if train.advantages == "per_reward" and objective_values(train).scale_rewards == "none":
        raise ConfigError(
            "train.advantages: per_reward divides each reward by its spread; it needs "
            "train.scale_rewards=group or batch (train.objective=dr_grpo has none)"
        )
    if fixed.level == "sequence":
        # one ratio for all tokens: the loss sees the mean of their advantages and nothing else
        grain = "train.credit=turn" if train.credit == "turn" else None
        if acts_on_turns(generation):
            grain = f"generation.failed_turn={generation.failed_turn}"
        if grain is not None:
            raise ConfigError(
                f"train.objective: {train.objective} has one ratio for a whole conversation, which "
                f"would average away what {grain} gives to single turns"
            )


def acts_on_turns(generation: GenerationSettings) -> bool:
    """Whether a turn that fails its rules costs, or earns, other than the rest."""
    return bool(generation.turn_rules) and generation.failed_turn != "record"


def check_turn_rules(generation: GenerationSettings) -> None:
    """Raises ConfigError where turns cannot fail, or would fail for nothing."""
    if generation.failed_turn != "record" and not generation.turn_rules:
        raise ConfigError(
            f"generation.failed_turn: {generation.failed_turn} needs generation.turn_rules, "
            "which say when a turn fails"
        )
    if generation.failed_turn == "penalise" and not generation.turn_penalty:
        raise ConfigError("generation.turn_penalty: 0 penalises nothing")
