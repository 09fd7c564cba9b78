"""One conversation with both roles' views of it: what happens in each state."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from src.dialog.conversation import Conversation, State
from src.dialog.judges import spend
from src.dialog.lesson_plan import Batch, Plan, Shared
from src.dialog.solutions import graded, solution_ending
from src.dialog.turn_rules import complain, judge_last_turn
from src.dialog.view import Turn, View
from src.dialog.views import open_view
from src.inference_providers.base import ChatMessage, GaveUp
from src.together import gather_or_cancel
from utils.prompts import Prompt, thinking_values
from utils.records import ConversationRecord, Solution
from utils.rewards import exclusion, is_rejected, rewards
from utils.seeding import keyed_seed
from utils.thinking import THINK_OPEN

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
        self.student = self._open_student()
        self.peers = {name: self._open_peer(persona) for name, persona in peers.items()}
        self._told: Counter[str] = Counter()  # messages that each speaker knows of
        self._students_turns: list[Turn] = []
        self._start_shared()

    # -- opening -----------------------------------------------------------------------------

    def _values(self, **more: object) -> dict[str, object]:
        conversation = self.conversation
        return {
            "problem": conversation.problem.text,
            "student_name": conversation.student_name,
            **more,
        }

    def _start_shared(self) -> None:
        """Begin, once a problem, what its samples share.

        Begun here, where samples come in order, so that the first one is always who pays for it.
        """
        problem = self.conversation.problem.id
        shared = self.batch.shared.setdefault(problem, Shared())
        if self.conversation.type == "attempted" and shared.opening is None:
            shared.opening = asyncio.ensure_future(self._sample_opening())
        if self.settings.number_initial_attempts > 0 and shared.initial is None:
            shared.initial = asyncio.ensure_future(self._sample_initial())
        self.shared = shared

    def _open_student(self, system: Prompt | None = None) -> View:
        """The student's view from its beginning; under the persona's text, or another one."""
        system = system or self.prompts.personas[self.conversation.student_persona]
        messages: list[ChatMessage] = [
            {"role": "system", "content": system.render(**self._values())}
        ]
        if self.conversation.type == "attempted":
            ask = self.prompts.student_initial_attempt.render(**self._values())
            messages.append({"role": "user", "content": ask})
        return open_view(self.plan.participants.student, messages, self.labels)

    def _open_peer(self, persona: Prompt) -> View:
        """Another student, played by the student's model."""
        system: ChatMessage = {"role": "system", "content": persona.render(**self._values())}
        return open_view(self.plan.participants.student, [system], self.labels)

    def _open_teacher(self) -> View:
        participant, settings = self.plan.participants.teacher, self.settings
        system = self.prompts.teacher.render(
            **self._values(
                answer=self.conversation.problem.answer,
                student_persona=self.conversation.student_persona,
                **thinking_values(use=settings.use_thinking, force=settings.force_thinking),
            )
        )
        messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
        if self.conversation.messages:
            attempt = self.conversation.messages[0].visible
            opening = self.prompts.attempt_wrapper.render(**self._values(attempt=attempt))
            messages.append({"role": "user", "content": opening})
        elif not system or not participant.renderer or participant.renderer.needs_user_first:
            # Hosted models and many chat templates refuse a conversation without a user.
            opening = self.prompts.tutor_opening.render(**self._values())
            messages.append({"role": "user", "content": opening})
        self._told["teacher"] = min(1, len(self.conversation.messages))  # the attempt
        return open_view(participant, messages, self.labels)

    async def _sample_opening(self) -> Turn:
        problem = self.conversation.problem.id
        turn, completion = await self._open_student().say(
            max_tokens=self.settings.max_tokens_per_turn,
            seed=keyed_seed(self.plan.seed, self.batch.epoch, problem, "opening"),
        )
        spend(self.conversation, "student", completion)
        return turn

    async def _sample_initial(self) -> list[Solution]:
        """Solutions of the bare problem before any conversation, without a persona."""
        problem = self.conversation.problem
        ask = self.prompts.student_attempt.render(problem=problem.text)
        answers = await open_view(
            self.plan.participants.student, [{"role": "user", "content": ask}]
        ).aside(
            None,
            n=self.settings.number_initial_attempts,
            max_tokens=self.settings.max_tokens_per_student_attempt,
            seed=keyed_seed(self.plan.seed, "initial", problem.id),
            ending=solution_ending(self.settings),
        )
        for answer in answers:
            spend(self.conversation, "student", answer)
        return await graded(problem, answers, self.plan.participants.student.thinking)

    # -- the conversation --------------------------------------------------------------------

    async def teacher_turn(self) -> None:
        """The tutor speaks and its turn is judged, or the conversation has run out of tokens."""
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
            complain(self.conversation, self.prompts.complaints, **self._values())
            return
        if not self.conversation.messages:
            assert self.shared.opening is not None
            turn = await asyncio.shield(self.shared.opening)
            self.student.replay(turn)
            self._add("student", "student", turn, room=self.settings.max_tokens_per_turn)
        else:
            await self._speak("student", "student", self.student)
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
        spend(self.conversation, role, completion)
        self._add(role, speaker, turn, room)

    def _add(
        self, role: Literal["teacher", "student"], speaker: str, turn: Turn, room: int
    ) -> None:
        """Append a turn that had `room` tokens left to it, beside its own cap."""
        short = room < self.settings.max_tokens_per_turn
        models = self.plan.participants
        self.conversation.add(
            role,
            turn.content,
            tokens=turn.tokens,
            stop_reason=turn.stop_reason,
            speaker="" if speaker == role else speaker,
            thinking=(models.teacher if role == "teacher" else models.student).thinking,
            out_of_room=short and turn.stop_reason == "length",
        )
        self._told[speaker] = len(self.conversation.messages)
        if speaker == "student":
            self._students_turns.append(turn)

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
        """The student solves the whole problem again, several times independently."""
        settings, conversation = self.settings, self.conversation
        answers = await self._student_afterwards().aside(
            self.prompts.final.render(**self._values()),
            n=settings.number_student_attempts,
            max_tokens=settings.max_tokens_per_student_attempt,
            seed=self._seed("solution"),
            ending=solution_ending(self.settings),
        )
        for answer in answers:
            spend(conversation, "student", answer)
        student = self.plan.participants.student
        conversation.solutions = await graded(conversation.problem, answers, student.thinking)
        scorer = self.plan.participants.scorer
        if scorer is not None:
            texts = [s.text for s in conversation.solutions]
            scores = await scorer.score(conversation.problem, texts)
            for solution, score in zip(conversation.solutions, scores, strict=True):
                solution.score = score

    def _student_afterwards(self) -> View:
        """The student's view for the post-test.

        The persona asks for short steps and allows mistakes, which the pre-test does not: under a
        system text of its own the conversation is read again, and both tests ask for the same.
        """
        if self.prompts.final_system is None:
            self._catch_up("student", self.student)
            return self.student
        view, turns = self._open_student(self.prompts.final_system), iter(self._students_turns)
        for message in (m for m in self.conversation.messages if m.heard):
            if message.role == "student" and not message.speaker:
                view.replay(next(turns))
            else:
                view.hear(message.speaker or message.role, message.visible)
        return view

    async def finish(self) -> ConversationRecord:
        """The record with its rewards."""
        conversation, batch = self.conversation, self.batch
        if self.shared.initial is not None:
            try:
                conversation.initial_solutions = await asyncio.shield(self.shared.initial)
            except GaveUp:
                conversation.initial_solutions = []  # not measured; the conversation stands
        tokens = self.teacher if self.plan.record_tokens else None
        record = conversation.to_record(
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
