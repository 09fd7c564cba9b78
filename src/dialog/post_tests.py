"""What a student solves before and after one conversation: its problem, another one, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

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

ALONE = "alone"  # what a session's problem is called before anybody has spoken of it
SEEDS: Mapping[Test, str] = {"same": "solution", "transfer": "transfer"}


class PostTests:
    """The tests of one conversation; before it, its group has them in common."""

    def __init__(self, plan: Plan, conversation: Conversation, pupil: Pupil, batch: Batch) -> None:
        """Begins what is solved before; the first of a group is always who pays for it."""
        self.plan, self.conversation, self.pupil = plan, conversation, pupil
        self.problems = {test: self._problem(test) for test in post_tests_of(plan.settings)}
        self._before: dict[Test, asyncio.Task[list[Solution]]] = {}
        self._first: asyncio.Task[list[Solution]] | None = None  # the first problem of a session
        if (other := self.problems.get("transfer")) is not None:
            conversation.transfer = TransferTest(
                problem=other.text, answer=other.answer, tutor_hidden=plan.settings.hide_tutor
            )
        if plan.settings.number_initial_attempts > 0:
            for test, problem in self.problems.items():
                self._before[test] = self._begin(problem, batch)
            if earlier := conversation.problem.earlier:
                self._first = self._begin(earlier[0], batch)

    def _begin(self, problem: Problem, batch: Batch) -> asyncio.Task[list[Solution]]:
        key = self.pupil.alike_before(problem)
        if key not in batch.initials:
            batch.initials[key] = asyncio.ensure_future(self._solved_before(problem))
        return batch.initials[key]

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
            alone = conversation.taught_to_the_end
            name = ALONE if alone else SEEDS[test]
            found = await self._solve(problem, name, catch_up, alone=alone)
            _keep(conversation, test, after=found)

        await gather_or_cancel([one(*entry) for entry in self.problems.items()])

    async def solve_now(self, catch_up: Callable[[], None], *, alone: bool) -> list[Solution]:
        """The problem that a session has come to: `alone`, or after the talk about it."""
        name = ALONE if alone else SEEDS["same"]
        return await self._solve(self.conversation.about, name, catch_up, alone=alone)

    async def _solve(
        self, problem: Problem, name: str, catch_up: Callable[[], None], *, alone: bool
    ) -> list[Solution]:
        """`name`: what is asked, for the seed."""
        conversation = self.conversation
        seed = keyed_seed(conversation.seed, name, len(conversation.messages))
        found = await self.pupil.solve(problem, seed, catch_up, alone=alone)
        return await self._scored(problem, found)

    async def finish(self) -> None:
        """Wait for what was solved before; nothing, where it could not be asked for."""
        for test, task in self._before.items():
            try:
                _keep(self.conversation, test, before=await asyncio.shield(task))
            except GaveUp:
                continue  # not measured; the conversation stands
        if self._first is not None:
            with suppress(GaveUp):
                self.conversation.taught[0].alone = await asyncio.shield(self._first)


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
