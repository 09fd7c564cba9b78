"""One conversation: what happens in each state of the classroom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.students import has_named_students
from src.dialog.conversation import Conversation, State
from src.dialog.lesson_plan import Batch, Plan
from src.dialog.post_tests import PostTests
from src.dialog.session import go_on
from src.dialog.speakers import Speakers
from src.dialog.turn_rules import complain, judge_last_turn
from src.dialog.views.view import Turn
from src.together import gather_or_cancel
from utils.records import ConversationRecord
from utils.rewards import exclusion, is_rejected, rewards


class Lesson:
    """A conversation being held."""

    def __init__(self, plan: Plan, conversation: Conversation, batch: Batch) -> None:
        self.plan, self.conversation, self.batch = plan, conversation, batch
        self.settings, self.prompts = plan.settings, plan.prompts
        self.speakers = Speakers(plan, conversation, batch.epoch)
        self.pupil = self.speakers.pupil
        self.opening = self._shared_opening()
        self.tests = PostTests(plan, conversation, self.pupil, batch)

    # -- opening -----------------------------------------------------------------------------

    def _shared_opening(self) -> asyncio.Task[Turn] | None:
        """Begin, once a problem and student, the attempt that its samples share.

        Begun here, where samples come in order, so that the first one is always who pays for it.
        """
        pupil, batch = self.pupil, self.batch
        if self.conversation.type == "guided":
            return None
        if pupil.alike not in batch.openings:
            batch.openings[pupil.alike] = asyncio.ensure_future(pupil.attempt())
        return batch.openings[pupil.alike]

    # -- the conversation --------------------------------------------------------------------

    async def teacher_turn(self) -> None:
        """The tutor speaks and its turn is judged, or the conversation has run out of tokens."""
        spoken, judges = len(self.conversation.messages), self.plan.participants.turn_judges
        await self.speakers.teacher_speaks()
        asked = self.conversation.given is None
        if asked and judges and len(self.conversation.messages) > spoken:
            part = self.conversation.part(self.conversation.at)
            await judge_last_turn(part, judges, self.settings)

    async def student_turn(self) -> None:
        """The student speaks, then each peer while the conversation goes on.

        An "attempted" conversation opens with its group's attempt.  To a withheld turn nobody has
        anything to say but a scripted complaint.
        """
        if self.conversation.messages and self.conversation.messages[-1].withheld:
            complain(self.conversation, self.prompts.complaints, **self.pupil.values())
            return
        if not self.conversation.messages:
            assert self.opening is not None
            self.speakers.student_repeats(await asyncio.shield(self.opening))
        else:
            await self.speakers.student_speaks()
        await self.speakers.peers_speak()

    async def next_problem(self) -> None:
        """The session goes on to its next problem."""
        tests = self.tests if self.batch.solves else None
        await go_on(self.conversation, self.speakers, tests)

    # -- afterwards --------------------------------------------------------------------------

    async def judge_turn(self) -> None:
        """All rules and all attempts at once, on the talk about each problem."""
        conversation, judges = self.conversation, self.plan.participants.judges
        talks = max(1, len(conversation.taught))
        heard = [i for i in range(talks) if _has_a_tutor(conversation.part(i))]
        asked = [(i, judge) for i in heard for judge in judges]
        found = await gather_or_cancel([judge.verdicts(conversation.part(i)) for i, judge in asked])
        for (i, judge), verdicts in zip(asked, found, strict=True):
            marks = {"counts": judge.rule.counts, "problem": i}
            conversation.verdicts.setdefault(judge.rule.name, []).extend(
                verdict.model_copy(update=marks) for verdict in verdicts
            )
        if heard:
            conversation.rejected = is_rejected(conversation.verdicts, self.plan.rewards)

    async def generate_solution(self) -> None:
        """The student solves the whole problem again, or another one: the post-tests."""
        await self.tests.solve(self.speakers.student_catches_up)

    async def finish(self) -> ConversationRecord:
        """The record with its rewards."""
        conversation, batch = self.conversation, self.batch
        await self.tests.finish()
        tokens = self.speakers.teacher if self.plan.record_tokens else None
        student, rule = self.pupil.policy.student, self.pupil.policy.malrule
        named = has_named_students(self.settings)
        record = conversation.to_record(
            student_kind=student.kind if named else "",
            student_held_out=student.held_out,
            student_rounds=student.rounds,
            misconception_answer=rule(conversation.problem.text) if rule is not None else None,
            run=batch.run,
            split=batch.split,
            step=batch.step,
            trajectory=tokens.trajectory() if tokens is not None else None,
            leak_rule=self.settings.leak_rule,
            accepted_only=batch.accepted_only and not conversation.solve_anyway,
        )
        record.excluded = exclusion(record, self.plan.rewards)
        record.rewards = rewards(record, self.plan.rewards)
        return record

    @asynccontextmanager
    async def timed(self, state: State) -> AsyncIterator[None]:
        """Book the seconds of a state, waiting for engines included."""
        began = time.monotonic()
        try:
            yield
        finally:
            timing = self.conversation.timing
            seconds = time.monotonic() - began
            timing[state.value] = round(timing.get(state.value, 0.0) + seconds, 4)


def _has_a_tutor(conversation: Conversation) -> bool:
    return any(m.role == "teacher" for m in conversation.messages)
