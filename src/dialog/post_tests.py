"""What a student solves before and after one conversation: its problem, another one, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from config.errors import ConfigError
from config.post_tests import Test, post_tests_of
from src.dialog.conversation import Conversation
from src.dialog.lesson_plan import Batch, Plan
from src.dialog.pupil import Pupil
from src.inference_providers.base import GaveUp
from src.together import gather_or_cancel
from utils.data.problems import Problem
from utils.records import Solution, TransferTest
from utils.seeding import keyed_seed

SEEDS: Mapping[Test, str] = {"same": "solution", "transfer": "transfer"}


class PostTests:
    """The tests of one conversation; before it, its group has them in common."""

    def __init__(self, plan: Plan, conversation: Conversation, pupil: Pupil, batch: Batch) -> None:
        """Begins what is solved before; the first of a group is always who pays for it."""
        self.plan, self.conversation, self.pupil = plan, conversation, pupil
        self.problems = {test: self._problem(test) for test in post_tests_of(plan.settings)}
        self._before: dict[Test, asyncio.Task[list[Solution]]] = {}
        if (other := self.problems.get("transfer")) is not None:
            conversation.transfer = TransferTest(
                problem=other.text, answer=other.answer, tutor_hidden=plan.settings.hide_tutor
            )
        if plan.settings.number_initial_attempts > 0:
            for test, problem in self.problems.items():
                key = pupil.alike_before(problem)
                if key not in batch.initials:
                    batch.initials[key] = asyncio.ensure_future(self._solved_before(problem))
                self._before[test] = batch.initials[key]

    def _problem(self, test: Test) -> Problem:
        problem = self.conversation.problem
        asked = problem if test == "same" else problem.transfer
        if asked is None:
            raise ConfigError(
                f"generation.post_test: {self.plan.settings.post_test} needs another problem of "
                f"the same kind, and {problem.id} has no transfer_problem"
            )
        return asked

    async def _solved_before(self, problem: Problem) -> list[Solution]:
        solutions = await self.pupil.before(problem)
        compared = self.plan.settings.gain != "solve"
        return await self._scored(problem, solutions) if compared else solutions

    async def _scored(self, problem: Problem, solutions: list[Solution]) -> list[Solution]:
        """With a reward model's scores, where there is one."""
        scorer = self.plan.participants.scorer
        if scorer is not None and solutions:
            scores = await scorer.score(problem, [s.text for s in solutions])
            for solution, score in zip(solutions, scores, strict=True):
                solution.score = score
        return solutions

    async def solve(self, catch_up: Callable[[], None]) -> None:
        """The student solves each problem, several times independently."""
        conversation = self.conversation

        async def one(test: Test, problem: Problem) -> None:
            seed = keyed_seed(conversation.seed, SEEDS[test], len(conversation.messages))
            found = await self.pupil.solve(problem, seed, catch_up)
            _keep(conversation, test, after=await self._scored(problem, found))

        await gather_or_cancel([one(*entry) for entry in self.problems.items()])

    async def finish(self) -> None:
        """Wait for what was solved before; nothing, where it could not be asked for."""
        for test, task in self._before.items():
            try:
                _keep(self.conversation, test, before=await asyncio.shield(task))
            except GaveUp:
                continue  # not measured; the conversation stands


def _keep(
    conversation: Conversation,
    test: Test,
    *,
    before: list[Solution] | None = None,
    after: list[Solution] | None = None,
) -> None:
    place = conversation if test == "same" else conversation.transfer
    assert place is not None
    if before is not None:
        place.initial_solutions = before
    if after is not None:
        place.solutions = after
