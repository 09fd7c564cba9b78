"""What all conversations of a classroom go by: who plays, prompts, settings, rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.schema import GenerationSettings
from src.judges import Judge
from src.participants import Seat
from src.prompts import Prompts
from src.solutions import Scorer
from utils.rewards import RewardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """Who plays."""

    teacher: Seat
    student: Seat
    judges: Sequence[Judge] = ()
    scorer: Scorer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all conversations of a classroom go by."""

    settings: GenerationSettings
    seats: Seats
    prompts: Prompts
    rewards: RewardSettings
    seed: int
    record_tokens: bool = True
