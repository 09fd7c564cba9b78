"""Who speaks in a conversation: each one's view of it, what each has heard, and their turns."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from src.dialog.conversation import Conversation
from src.dialog.judges import spend
from src.dialog.lesson_plan import Plan
from src.dialog.pupil import Pupil
from src.dialog.views.open_view import open_view
from src.dialog.views.participants import Participant
from src.dialog.views.view import Turn, View
from src.inference_providers.base import ChatMessage
from utils.prompts import Prompt, thinking_values
from utils.seeding import keyed_seed
from utils.thinking import END_TAG, THINK_OPEN


class Speakers:
    """Tutor, student and peers of one conversation."""

    def __init__(self, plan: Plan, conversation: Conversation, epoch: int) -> None:
        self.plan, self.conversation = plan, conversation
        self.settings, self.prompts = plan.settings, plan.prompts
        peers = plan.prompts.peers
        # with peers, everybody's words have a name before them
        labels = {"teacher": "Tutor", "student": conversation.student_name or "Student"}
        self.labels = labels | {name: name for name in peers} if peers else {}
        self.teacher: View | None = None
        self.pupil = Pupil(plan, conversation, epoch, self.labels)
        self.peers = {name: self._open_peer(persona) for name, persona in peers.items()}
        self._told: Counter[str] = Counter()  # messages that each speaker knows of

    # -- their views -------------------------------------------------------------------------

    def _open_peer(self, persona: Prompt) -> View:
        """Another student, played by the student's model."""
        system: ChatMessage = {"role": "system", "content": persona.render(**self.pupil.values())}
        return open_view(self.plan.participants.student, [system], self.labels)

    def _open_teacher(self) -> View:
        participant, settings = self.plan.participants.teacher, self.settings
        system = self.prompts.teacher.render(
            **self.pupil.values(
                answer=self.conversation.about.answer,
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

    # -- their turns -------------------------------------------------------------------------

    async def teacher_speaks(self) -> None:
        """The tutor's next turn, where there are tokens left for one; or the words it is given."""
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
        await self._speak("teacher", "teacher", self.teacher, prefill=prefill, logprobs=True)

    def student_repeats(self, opening: Turn) -> None:
        """The student opens the conversation with its group's attempt."""
        self.pupil.view.replay(opening)
        self._add("student", "student", opening, room=self.settings.max_tokens_per_turn)

    async def student_speaks(self) -> None:
        """The student's next turn: its script's words, where it gives any, or its model's."""
        if (words := self.pupil.words("turn")) is not None:
            self.student_catches_up()
            turn = self.pupil.view.speak(words)
            self._add("student", "student", turn, room=self.settings.max_tokens_per_turn)
        else:
            await self._speak("student", "student", self.pupil.view)

    async def peers_speak(self) -> None:
        """Each peer in turn, while the conversation goes on."""
        for name, view in self.peers.items():
            full = len(self.conversation.talk) >= self.settings.max_turns
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
            seed=self.seed(speaker),
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

    # -- what they have heard ----------------------------------------------------------------

    def everybody_catches_up(self) -> None:
        """All hear what was said since their last turns."""
        self.student_catches_up()
        if self.teacher is not None:
            self._catch_up("teacher", self.teacher)
        for name, view in self.peers.items():
            self._catch_up(name, view)

    def everybody_hears_of_the_next(self) -> None:
        """All are told of the problem that the session has come to: the tutor its answer too."""
        about, pupil = self.conversation.about, self.pupil
        persona = self.conversation.student_persona
        if self.teacher is not None:
            told = pupil.values(answer=about.answer, student_persona=persona)
            self.teacher.hear("", self.prompts.session_next_tutor.render(**told))
        told_students = pupil.words_about(self.conversation.at)
        for view in (pupil.view, *self.peers.values()):
            view.hear("", told_students)

    def student_catches_up(self) -> None:
        """The student hears what was said since its last turn."""
        self._catch_up("student", self.pupil.view)

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

    def seed(self, what: str) -> int:
        """Of a request that is made now."""
        return keyed_seed(self.conversation.seed, what, len(self.conversation.messages))
