"""What each tutor turn earned and paid, as its run's settings give credit; worked out again from
the record, since a turn's advantage depends on its whole group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from config.objectives import OBJECTIVES
from config.rewards import reward_entries
from config.schema import GenerationSettings, TrainSettings
from utils.credit.advantages import Credit, advantages
from utils.credit.outcomes import Outcome, TutorTurn
from utils.credit.settings import credit_of
from utils.records import ConversationRecord
from utils.runs.read import Run

Key = tuple[str, int, str, int]
_TRAIN = ("objective", "credit", "advantages", "baseline", "loss_type", "scale_rewards")
_GENERATION = ("extra_penalty_for_rejected_judges", "turn_rules", "failed_turn", "turn_penalty")


def turn_credit(run: Run, steps: Collection[int]) -> dict[Key, list[float]]:
    """Advantages of the tutor turns of every training conversation of these steps."""
    credit = _credit(run.config)
    if credit is None:
        return {}
    batches: dict[int, dict[str, list[ConversationRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in run.records:
        if record.split == "train" and record.step in steps:
            batches[record.step][record.problem_id].append(record)
    found: dict[Key, list[float]] = {}
    for groups in batches.values():
        outcomes = [[_outcome(record) for record in group] for group in groups.values()]
        keys = [record.key for group in groups.values() for record in group]
        found |= zip(keys, advantages(outcomes, credit).turns, strict=True)
    return found


def _outcome(record: ConversationRecord) -> Outcome:
    """Without the places of its tokens, which an older record may not tell."""
    spoken = [m for m in record.messages if m.role == "teacher"]
    turns = (
        TutorTurn(start=0, end=0, earns=m.earns, cost=m.cost, problem=m.problem) for m in spoken
    )
    return Outcome(rewards=record.rewards, turns=tuple(turns))


def _credit(config: Mapping[str, Any]) -> Credit | None:
    """None where nothing was trained; an older run's settings are this project's defaults."""
    train, generation = config.get("train") or {}, config.get("generation") or {}
    if train.get("objective", "grpo") not in OBJECTIVES or "num_samples_per_problem" not in train:
        return None
    settings = GenerationSettings(**{k: generation[k] for k in _GENERATION if k in generation})
    if "rewards" in generation:
        settings.rewards = reward_entries(generation["rewards"])
    return credit_of(TrainSettings(**{k: train[k] for k in _TRAIN if k in train}), settings)
