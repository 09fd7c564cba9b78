"""What the conversations of a classroom go by: who plays, prompts, settings, their batch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from config.schema import GenerationSettings
from src.dialog.judges import Judge
from src.dialog.prompts import Prompts
from src.dialog.solutions import Scorer
from src.dialog.students import StudentPolicy
from src.dialog.views.participants import Participant
from src.dialog.views.view import Turn
from utils.records import Solution, Split
from utils.rewards import RewardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """Who takes part."""

    teacher: Participant
    student: Participant  # plays every student without a model of its own, and the peers
    students: Mapping[str, Participant] = field(default_factory=dict)  # by role: the other models
    judges: Sequence[Judge] = ()
    turn_judges: Sequence[Judge] = ()  # of each tutor turn, one verdict a rule
    scorer: Scorer | None = None

    def playing(self, role: str) -> Participant:
        """Who plays the students of a role."""
        return self.students.get(role, self.student)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all conversations of a classroom go by."""

    settings: GenerationSettings
    participants: Participants
    prompts: Prompts
    students: Mapping[str, StudentPolicy]
    rewards: RewardSettings
    seed: int
    record_tokens: bool = True


@dataclass(slots=True, kw_only=True)
class Batch:
    """One call of `Classroom.run`."""

    step: int
    epoch: int
    split: Split
    run: str
    accepted_only: bool  # hard lambda, training: who is rejected is not solved
    solves: bool  # whether the student solves anything after the conversation
    # what conversations about one problem with one student have in common, computed once
    openings: dict[tuple[str, str], asyncio.Task[Turn]] = field(default_factory=dict)
    initials: dict[tuple[str, str], asyncio.Task[list[Solution]]] = field(default_factory=dict)

    def cancel(self) -> None:
        """Stop what is still being computed for nobody."""
        for task in (*self.openings.values(), *self.initials.values()):
            task.cancel()
