"""What the conversations of a classroom go by: who plays, prompts, settings, their batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from config.schema import GenerationSettings
from src.dialog.judges import Judge
from src.dialog.participants import Participant
from src.dialog.prompts import Prompts
from src.dialog.solutions import Scorer
from src.dialog.view import Turn
from utils.records import Solution, Split
from utils.rewards import RewardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """Who takes part."""

    teacher: Participant
    student: Participant
    judges: Sequence[Judge] = ()
    turn_judges: Sequence[Judge] = ()  # of each tutor turn, one verdict a rule
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


@dataclass(slots=True, kw_only=True)
class Shared:
    """What the samples of one problem have in common, computed once."""

    opening: asyncio.Task[Turn] | None = None
    initial: asyncio.Task[list[Solution]] | None = None


@dataclass(slots=True, kw_only=True)
class Batch:
    """One call of `Classroom.run`."""

    step: int
    epoch: int
    split: Split
    run: str
    accepted_only: bool  # hard lambda, training: who is rejected is not solved
    shared: dict[str, Shared] = field(default_factory=dict)

    def cancel(self) -> None:
        """Stop what is still being computed for nobody."""
        for shared in self.shared.values():
            for task in (shared.opening, shared.initial):
                if task is not None:
                    task.cancel()
