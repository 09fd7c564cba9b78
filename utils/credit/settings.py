"""Credit as a run's settings say it."""

from __future__ import annotations

from config.credit import acts_on_turns, objective_values
from config.schema import GenerationSettings, TrainSettings
from utils.credit.advantages import Credit
from utils.rewards import PEDAGOGY


def credit_of(train: TrainSettings, generation: GenerationSettings) -> Credit:
    """Advantages divide a reward by its spread, so what weighs it is put back: its weight, and
    lambda, which is pedagogy's."""
    weights = None
    if train.advantages == "per_reward":
        lambda_ = generation.extra_penalty_for_rejected_judges
        weights = {
            name: entry.weight * (lambda_ if name == PEDAGOGY else 1.0)
            for name, entry in generation.rewards.items()
        }
        weights = {name: weight for name, weight in weights.items() if weight}
    return Credit(
        grain=train.credit,  # type: ignore[arg-type]
        weights=weights,
        baseline=train.baseline,  # type: ignore[arg-type]
        scale=objective_values(train).scale_rewards,  # type: ignore[arg-type]
    )


def is_trls(train: TrainSettings, generation: GenerationSettings) -> bool:
    """Whether TRL's own advantages, one for each conversation, are the ones that are asked for."""
    plain = Credit(scale=objective_values(train).scale_rewards)  # type: ignore[arg-type]
    return credit_of(train, generation) == plain and not acts_on_turns(generation)
