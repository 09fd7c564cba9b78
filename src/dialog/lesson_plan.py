"""What all conversations of a classroom go by: who plays, prompts, settings, rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.schema import GenerationSettings
from src.dialog.judges import Judge
from src.dialog.participants import Participant
from src.dialog.prompts import Prompts
from src.dialog.solutions import Scorer
from utils.rewards import RewardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """Who takes part."""

    teacher: Participant
    student: Participant
    judges: Sequence[Judge] = ()
    scorer: Scorer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all conversations of a classroom go by."""

    settings: GenerationSettings
    participants: Participants
    prompts: Prompts
    rewards: RewardSettings
    seed: int
    record_tokens: bool = True
