"""One conversation with both roles' views of it: what happens in each state."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from config.students import has_named_students
from src.dialog.conversation import Conversation, State
from src.dialog.judges import spend
from src.dialog.lesson_plan import Batch, Plan
from src.dialog.participants import Participant
from src.dialog.post_tests import PostTests
from src.dialog.pupil import Pupil
from src.dialog.turn_rules import complain, judge_last_turn
from src.dialog.view import Turn, View
from src.dialog.views import open_view
from src.inference_providers.base import ChatMessage
from src.together import gather_or_cancel
from utils.prompts import Prompt, thinking_values
from utils.records import ConversationRecord
from utils.rewards import exclusion, is_rejected, rewards
from utils.seeding import keyed_seed
from utils.thinking import END_TAG, THINK_OPEN

T = TypeVar("T")


class Lesson:
    """A conversation being held."""

    def __init__(self, plan: Plan, conversation: Conversation, batch: Batch) -> None:
        self.plan, self.conversation, self.batch = plan, conversation, batch
        self.settings, self.prompts = plan.settings, plan.prompts
        peers = plan.prompts.peers
        # with peers, everybody's words have a name before them
        labels = {"teacher": "Tutor", "student": conversation.student_name or "Student"}
        self.labels = labels | {name: name for name in peers} if peers else {}
        self.teacher: View | None = None
        self.pupil = Pupil(plan, conversation, batch.epoch, self.labels)
        self.peers = {name: self._open_peer(persona) for name, persona in peers.items()}
        self._told: Counter[str] = Counter()  # messages that each speaker knows of
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

    def _open_peer(self, persona: Prompt) -> View:
        """Another student, played by the student's model."""
        system: ChatMessage = {"role": "system", "content": persona.render(**self.pupil.values())}
        return open_view(self.plan.participants.student, [system], self.labels)

    def _open_teacher(self) -> View:
        participant, settings = self.plan.participants.teacher, self.settings
        system = self.prompts.teacher.render(
            **self.pupil.values(
                answer=self.conversation.problem.answer,
                student_persona=self.conversation.student_persona,
                **thinking_values(use=settings.use_thinking, force=settings.force_thinking),
            )
        )
        messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
        if self.conversation.messages:
            attempt = self.conversation.messages[0].visible
            opening = self.prompts.attempt_wrapper.render(**self.pupil.values(attempt=attempt))
            messages.append({"role": "user", "content": opening})
        elif not system or not participant.renderer or participant.renderer.needs_user_first:
            # Hosted models and many chat templates refuse a conversation without a user.
            opening = self.prompts.tutor_opening.render(**self.pupil.values())
            messages.append({"role": "user", "content": opening})
        self._told["teacher"] = min(1, len(self.conversation.messages))  # the attempt
        return open_view(participant, messages, self.labels)

    # -- the conversation --------------------------------------------------------------------

    async def teacher_turn(self) -> None:
        """The tutor speaks and its turn is judged, or the conversation has run out of tokens."""
        given = self.conversation.given
        if given is not None:
            said = sum(m.role == "teacher" for m in self.conversation.messages)
            last = f" {END_TAG}" if said == len(given.teacher) - 1 else ""
            words = given.teacher[said] + last
            self.conversation.add("teacher", words, tokens=0, stop_reason="stop")
            return
        if self.teacher is None:
            self.teacher = self._open_teacher()
        prefill = f"{THINK_OPEN}\n" if self.settings.force_thinking else ""
        spoken, judges = len(self.conversation.messages), self.plan.participants.turn_judges
        await self._speak("teacher", "teacher", self.teacher, prefill=prefill, logprobs=True)
        if judges and len(self.conversation.messages) > spoken:
            await judge_last_turn(self.conversation, judges, self.settings)

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
            turn = await asyncio.shield(self.opening)
            self.pupil.view.replay(turn)
            self._add("student", "student", turn, room=self.settings.max_tokens_per_turn)
        elif (words := self.pupil.words("turn")) is not None:
            self._catch_up("student", self.pupil.view)
            turn = self.pupil.view.speak(words)
            self._add("student", "student", turn, room=self.settings.max_tokens_per_turn)
        else:
            await self._speak("student", "student", self.pupil.view)
        for name, view in self.peers.items():
            full = len(self.conversation.messages) >= self.settings.max_turns
            if self.conversation.stop_reason is None and not full:
                await self._speak("student", name, view)

    async def _speak(
        self,
        role: Literal["teacher", "student"],
        speaker: str,
        view: View,
        *,
        prefill: str = "",
        logprobs: bool = False,
    ) -> None:
        """One turn, where there are tokens left for one."""
        if (room := self._room(speaker, view, prefill)) <= 0:
            return
        turn, completion = await view.say(
            max_tokens=min(self.settings.max_tokens_per_turn, room),
            seed=self._seed(speaker),
            prefill=prefill,
            logprobs=logprobs,
        )
        asked = self.pupil.participant.role if speaker == "student" else role
        spend(self.conversation, asked, completion)
        self._add(role, speaker, turn, room)

    def _add(
        self, role: Literal["teacher", "student"], speaker: str, turn: Turn, room: int
    ) -> None:
        """Append a turn that had `room` tokens left to it, beside its own cap."""
        short = room < self.settings.max_tokens_per_turn
        self.conversation.add(
            role,
            turn.content,
            tokens=turn.tokens,
            stop_reason=turn.stop_reason,
            speaker="" if speaker == role else speaker,
            thinking=self._speaking(role, speaker).thinking,
            out_of_room=short and turn.stop_reason == "length",
        )
        self._told[speaker] = len(self.conversation.messages)
        if speaker == "student":
            self.pupil.spoke(turn)

    def _speaking(self, role: str, speaker: str) -> Participant:
        """Whose words these are: peers are played by the student's model."""
        models = self.plan.participants
        if speaker == "student":
            return self.pupil.participant
        return models.teacher if role == "teacher" else models.student

    def _catch_up(self, speaker: str, view: View) -> None:
        """Tell a speaker what the others said since."""
        for message in self.conversation.messages[self._told[speaker] :]:
            if message.speaker != speaker and (message.heard or speaker == "teacher"):
                view.hear(message.speaker or message.role, message.visible)
        self._told[speaker] = len(self.conversation.messages)

    def _room(self, speaker: str, view: View, prefill: str = "") -> int:
        """Tokens left, to the conversation and in the model's context; without any, it is over."""
        self._catch_up(speaker, view)
        room = min(self.settings.max_tokens_in_conversation - len(view), view.room(prefill))
        if room <= 0:
            self.conversation.stop_reason = "max_tokens"
        return room

    # -- afterwards --------------------------------------------------------------------------

    async def judge_turn(self) -> None:
        """All rules and all attempts at once."""
        conversation, judges = self.conversation, self.plan.participants.judges
        if not any(m.role == "teacher" for m in conversation.messages):
            return
        found = await gather_or_cancel([judge.verdicts(conversation) for judge in judges])
        for judge, verdicts in zip(judges, found, strict=True):
            conversation.verdicts[judge.rule.name] = [
                verdict.model_copy(update={"counts": judge.rule.counts}) for verdict in verdicts
            ]
        conversation.rejected = is_rejected(conversation.verdicts, self.plan.rewards)

    async def generate_solution(self) -> None:
        """The student solves the whole problem again, or another one: the post-tests."""
        await self.tests.solve(lambda: self._catch_up("student", self.pupil.view))

    async def finish(self) -> ConversationRecord:
        """The record with its rewards."""
        conversation, batch = self.conversation, self.batch
        await self.tests.finish()
        tokens = self.teacher if self.plan.record_tokens else None
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

    # -- small things ------------------------------------------------------------------------

    def _seed(self, what: str) -> int:
        return keyed_seed(self.conversation.seed, what, len(self.conversation.messages))

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
