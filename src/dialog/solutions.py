"""The student's solutions: what is asked for where one boxes nothing, and whether it is right."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from config.schema import GenerationSettings
from src.dialog.views.view import Ending
from src.inference_providers.base import Completion
from utils.answers.equality import is_correct, last_boxed
from utils.data.problems import Problem
from utils.records import Solution
from utils.thinking import TAGGED, Thinking


class Scorer(Protocol):
    """A reward model that scores solutions, where the known answer does not decide."""

    async def score(self, problem: Problem, solutions: Sequence[str]) -> list[float]: ...


def solution_ending(settings: GenerationSettings) -> Ending | None:
    """What is given to a solution that boxes nothing, where a setting says so."""
    if not settings.solution_ending:
        return None
    return Ending(text=settings.solution_ending, is_missing=lambda said: not last_boxed(said))


async def graded(
    problem: Problem, answers: Sequence[Completion], thinking: Thinking = TAGGED
) -> list[Solution]:
    """Solutions with their boxed answer and whether it is right; what was planned is not read."""

    def grade() -> list[Solution]:
        texts = [thinking.visible(answer.text) for answer in answers]
        return [
            Solution(text=t, answer=last_boxed(t), correct=is_correct(t, problem.answer))
            for t in texts
        ]

    return await asyncio.to_thread(grade)
