"""The classroom: drives every conversation of a batch through the state machine, all at once.

START -> TEACHER_TURN <-> STUDENT_TURN -> JUDGE_TURN -> GENERATE_SOLUTION -> REWARD_TURN -> END

(In a session the two turns come again for each problem but the last, with NEXT_PROBLEM between.)
Each conversation is one task that moves on by itself; there is no barrier anywhere.  Which engine
may run when is the providers' business (`src.vllm.residency`).  Whatever varies by problem (type,
name, student, the opening attempt) is the same for all samples of a problem, so that a group
starts from one prompt (paper, section 3.2); whatever varies by sample has its own seed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import repeat
from math import ceil
from typing import Any

from config.schema import GenerationSettings
from src.dialog.conversation import (
    Conversation,
    ConversationType,
    Given,
    Limits,
    State,
    next_state,
)
from src.dialog.lesson import Lesson
from src.dialog.lesson_plan import Batch, Participants, Plan
from src.dialog.prompts import Prompts
from src.dialog.session import taught_problems
from src.dialog.students import load_students
from src.dialog.views.participants import Participant
from src.inference_providers.base import GaveUp
from src.inference_providers.budget import BudgetReached
from src.together import gather_or_cancel
from utils.data.problems import Problem
from utils.records import ConversationRecord, Split
from utils.rewards import RewardSettings
from utils.seeding import keyed_choice, keyed_seed
from utils.students.roster import Roster


def is_solved_anyway(sample: int, share: float) -> bool:
    """Whether this sample of a problem is solved even if rejected: every 1/share-th, from 0 on.

    By its number alone, so that what is measured does not depend on how it went.
    """
    return ceil(round((sample + 1) * share, 9)) > ceil(round(sample * share, 9))


class Classroom:
    """Holds conversations.  `states` counts how many stand in which state, live."""

    def __init__(
        self,
        settings: GenerationSettings,
        participants: Participants,
        prompts: Prompts,
        reward_settings: RewardSettings,
        *,
        seed: int,
        evaluation: bool = False,
        record_tokens: bool = True,
    ) -> None:
        self.plan = Plan(
            settings=settings,
            participants=participants,
            prompts=prompts,
            students=load_students(settings),
            rewards=reward_settings,
            seed=seed,
            record_tokens=record_tokens,
        )
        self.roster, self.evaluation = Roster.of(settings, seed), evaluation
        self.states: Counter[State] = Counter()
        self.on_move: Callable[[Conversation], None] | None = None  # told of each change of state
        solve = settings.number_student_attempts > 0
        self.limits = Limits(
            max_turns=settings.max_turns,
            # Evaluation wants the solve rate of every conversation, rejected or not.
            solve_rejected=evaluation or not reward_settings.hard,
            sample_solutions=solve and (evaluation or reward_settings.solve_by != "none"),
        )

    async def run(
        self,
        problems: Sequence[Problem],
        *,
        samples: Sequence[int] | int,
        step: int = 0,
        epoch: int = 0,
        split: Split = "train",
        run: str = "",
        students: Sequence[str] | None = None,
        given: Sequence[Given] | None = None,
        on_finished: Callable[[ConversationRecord], None] | None = None,
    ) -> list[ConversationRecord]:
        """Run one conversation for each (problem, sample); records come back in that order.

        `samples`: how many of each problem; or, one entry for each of `problems`, which sample
        that entry is.  `students`: whom each entry's problem meets, where it is a part of a larger
        batch; `given`: each entry's words.  A conversation whose requests fail for good is recorded
        with its error and left out of its group; ProviderError ends them all, and so does a role
        that was asked and has never once answered.  At a cap on what hosted models cost, those that
        need no more requests are finished first.
        """
        if isinstance(samples, int):
            pairs = [(p, s) for p in problems for s in range(samples)]
        else:
            pairs = list(zip(problems, samples, strict=True))
        if students is None:
            students = self._whom([problem.id for problem, _ in pairs], step=step, epoch=epoch)
        batch = Batch(
            step=step,
            epoch=epoch,
            split=split,
            run=run,
            accepted_only=not self.limits.solve_rejected,
            solves=self.limits.sample_solutions,
        )
        # the two last are as long as the first, or endless
        entries = zip(pairs, students or repeat(None), given or repeat(None), strict=False)
        records = await self._hold(list(entries), batch, on_finished)
        for participant in self._asked():
            participant.refuse_silence()
        return records

    async def _hold(
        self,
        entries: Sequence[tuple[tuple[Problem, int], str | None, Given | None]],
        batch: Batch,
        on_finished: Callable[[ConversationRecord], None] | None,
    ) -> list[ConversationRecord]:
        """All conversations, as many at once as the settings say.

        At a cap none is begun any more; those in progress end, and then BudgetReached is raised.
        """
        most = self.plan.settings.max_concurrent_conversations or len(entries) or 1
        slots = asyncio.Semaphore(most)
        capped: list[BudgetReached] = []

        async def one(
            pair: tuple[Problem, int], student: str | None, words: Given | None
        ) -> ConversationRecord | None:
            async with slots:
                if capped:
                    return None
                try:
                    conversation = self._begin(*pair, batch.epoch, student, words)
                    record = await self._run_one(conversation, batch)
                except BudgetReached as error:
                    capped.append(error)
                    return None
            if on_finished is not None:
                on_finished(record)
            return record

        self.states.clear()
        try:
            records = await gather_or_cancel([one(*entry) for entry in entries])
        finally:
            batch.cancel()
        if capped:
            raise capped[0]
        return [record for record in records if record is not None]

    async def close(self) -> None:
        """Give back the connections of all participants."""
        for provider in {id(each.provider): each.provider for each in self._asked()}.values():
            await provider.close()

    def _asked(self) -> list[Participant]:
        participants = self.plan.participants
        rules = (*participants.judges, *participants.turn_judges)
        judges = [j.participant for j in rules if j.participant]
        found = [participants.teacher, participants.student, *participants.students.values()]
        return [*found, *judges]

    def _whom(self, ids: Sequence[str], *, step: int, epoch: int) -> list[str] | None:
        """The student of each problem of a whole training batch; None where its address says it."""
        order = {problem: place for place, problem in enumerate(dict.fromkeys(ids))}
        batch = None
        if not self.evaluation:
            batch = self.roster.of_batch(len(order), step=step, epoch=epoch)
        return None if batch is None else [batch[order[problem]] for problem in ids]

    def _begin(
        self, problem: Problem, sample: int, epoch: int, student: str | None, given: Given | None
    ) -> Conversation:
        """A new conversation; all that varies by problem comes from the problem's address."""
        settings, address = self.plan.settings, (self.plan.seed, epoch, problem.id)
        kinds: list[ConversationType] = ["guided", "attempted"]
        forced = settings.forced_conversation_type
        if forced is not None:
            kinds = ["guided"] if forced == "guided" else ["attempted"]
        return Conversation(
            problem=problem,
            taught=taught_problems(problem),
            sample=sample,
            seed=keyed_seed(*address, sample),
            type=keyed_choice(kinds, "type", *address),
            student_name=keyed_choice(settings.student_names or [None], "name", *address),
            student_persona=student or self.roster.of_sample(problem.id, sample, epoch),
            given=given,
            solve_anyway=is_solved_anyway(sample, settings.solve_rejected_share),
        )

    async def _run_one(self, conversation: Conversation, batch: Batch) -> ConversationRecord:
        """One conversation from START to END."""
        self.states[State.START] += 1
        lesson = Lesson(self.plan, conversation, batch)
        act: dict[State, Callable[[], Coroutine[Any, Any, None]]] = {
            State.TEACHER_TURN: lesson.teacher_turn,
            State.STUDENT_TURN: lesson.student_turn,
            State.NEXT_PROBLEM: lesson.next_problem,
            State.JUDGE_TURN: lesson.judge_turn,
            State.GENERATE_SOLUTION: lesson.generate_solution,
        }
        try:
            while conversation.state is not State.REWARD_TURN:
                self._move(conversation, next_state(conversation, self.limits))
                if conversation.state in act:
                    async with lesson.timed(conversation.state):
                        await act[conversation.state]()
        except GaveUp as error:
            conversation.stop_reason, conversation.error = "error", str(error)
            self._move(conversation, State.REWARD_TURN)
        record = await lesson.finish()
        self._move(conversation, State.END)
        return record

    def _move(self, conversation: Conversation, state: State) -> None:
        self.states[conversation.state] -= 1
        conversation.state = state
        self.states[state] += 1
        if self.on_move is not None:
            self.on_move(conversation)
