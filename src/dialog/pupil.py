"""The student's side of one conversation: its view, its words, its solutions before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from src.dialog.conversation import Conversation
from src.dialog.judges import spend
from src.dialog.lesson_plan import Plan
from src.dialog.prompts import Prompts
from src.dialog.solutions import graded, solution_ending
from src.dialog.students import StudentPolicy
from src.dialog.views.open_view import open_view
from src.dialog.views.view import Turn, View
from src.inference_providers.base import ChatMessage, Completion
from utils.data.problems import Problem
from utils.prompts import Prompt
from utils.records import Solution
from utils.seeding import keyed_seed
from utils.students.moment import Moment, Talk

HIDDEN = "(hidden)"  # what the tutor's words read as in a test that hides them


def bare_problem(
    prompts: Prompts, policy: StudentPolicy, values: Mapping[str, object]
) -> list[ChatMessage]:
    """What a student is asked before any conversation.  `values`: problem and student_name."""
    ask = prompts.student_attempt.render(problem=values["problem"])
    messages: list[ChatMessage] = [{"role": "user", "content": ask}]
    if policy.keeps_persona:
        persona = prompts.personas[policy.student.name].render(**values, **policy.told)
        messages.insert(0, {"role": "system", "content": persona})
    return messages


class Pupil:
    """Whoever is taught in a conversation: a model under a persona, a script, or both in turn."""

    def __init__(
        self, plan: Plan, conversation: Conversation, epoch: int, labels: dict[str, str]
    ) -> None:
        """`labels`: the name before what a speaker says, where several others may speak."""
        self.plan, self.conversation, self._epoch = plan, conversation, epoch
        self._labels = labels
        self.policy = plan.students[conversation.student_persona]
        self.participant = plan.participants.playing(self.policy.student.role)
        self._turns: list[Turn] = []
        self.view = self._open()

    # -- what it may be told -----------------------------------------------------------------

    def values(self, **more: object) -> dict[str, object]:
        """What its prompts may speak of."""
        conversation = self.conversation
        known = {"problem": conversation.about.text, "student_name": conversation.student_name}
        return {**known, **more}

    def words_about(self, position: int) -> str:
        """What it is told when its session comes to this problem."""
        prompts, values = self.plan.prompts, self._values_of(position)
        told = prompts.session_next_student.render(**values)
        if self.conversation.type == "attempted":
            told = f"{told}\n\n{prompts.student_initial_attempt.render(**values)}"
        return told

    def _values_of(self, position: int) -> dict[str, object]:
        return self.values(problem=self.conversation.problems[position].text)

    def _open(self, system: Prompt | None = None) -> View:
        """Its view from the beginning; under the persona's text, or another one."""
        values = self._values_of(0)
        if system is None:
            persona = self.plan.prompts.personas[self.conversation.student_persona]
            text = persona.render(**values, **self.policy.told)
        else:
            text = system.render(**values)
            if self.conversation.problem.earlier:  # which no later request says again
                first = self.plan.prompts.session_next_student.render(**values)
                text = f"{text}\n\n{first}"
        messages: list[ChatMessage] = [{"role": "system", "content": text}]
        if self.conversation.type == "attempted":
            ask = self.plan.prompts.student_initial_attempt.render(**values)
            messages.append({"role": "user", "content": ask})
        return open_view(self.participant, messages, self._labels)

    # -- what it says ------------------------------------------------------------------------

    @property
    def alike(self) -> tuple[str, str]:
        """What conversations about one problem must have in common to share its first attempt."""
        return self.conversation.problem.id, self.policy.student.name

    def alike_before(self, problem: Problem) -> tuple[str, str]:
        """The same for the solutions beforehand, which no persona changes but a misconception."""
        own = self.policy.keeps_persona or self.policy.replies is not None
        student = self.policy.student
        return problem.id, f"of {student.name}" if own else student.role

    def words(self, what: Literal["attempt", "turn"]) -> str | None:
        """What it is given to say now, by a script or a fork; None where its model speaks."""
        spoken, given = len(self._turns), self.conversation.given
        if given is not None and spoken < len(given.student):
            return given.student[spoken]
        return self._scripted(what, self.conversation.about)

    def _scripted(
        self,
        what: Literal["attempt", "turn", "solution", "initial"],
        problem: Problem,
        sample: int = 0,
        *,
        hide_tutor: bool = False,
    ) -> str | None:
        conversation = self.conversation
        if self.policy.replies is None:
            return None
        shared = what in ("attempt", "initial")  # by all conversations about the problem
        address = (self.plan.seed, self._epoch, problem.id)
        part = conversation.part(conversation.at)
        heard = [(who, HIDDEN if hide_tutor and who == "teacher" else said)
                 for who, said in part.turns]  # fmt: skip
        moment = Moment(
            what=what,
            problem=problem.text,
            answer=problem.answer,
            turns=[] if shared else heard,
            earlier=() if shared else self._earlier(),
            spoken=0 if shared else len(self._turns),
            rounds=self.policy.student.rounds,
            sample=sample,
            seed=keyed_seed(*address, what, sample) if shared else part.seed,
        )
        return self.policy.words(moment)

    def _earlier(self) -> tuple[Talk, ...]:
        """What was said of the problems of its session before this one."""
        conversation = self.conversation
        return tuple(
            Talk(problem=problem.text, answer=problem.answer, turns=conversation.part(i).turns)
            for i, problem in enumerate(conversation.problems[: conversation.at])
        )

    async def attempt(self) -> Turn:
        """What opens an "attempted" conversation, sampled once for all of its group."""
        view = self._open()
        given = self.words("attempt")
        if given is not None:
            return view.speak(given)
        turn, completion = await view.say(
            max_tokens=self.plan.settings.max_tokens_per_turn,
            seed=keyed_seed(self.plan.seed, self._epoch, self.conversation.problem.id, "opening"),
        )
        spend(self.conversation, self.participant.role, completion)
        return turn

    def spoke(self, turn: Turn) -> None:
        """Note a turn of its own."""
        self._turns.append(turn)

    # -- before and after --------------------------------------------------------------------

    async def before(self, problem: Problem) -> list[Solution]:
        """Solutions of a bare problem before any conversation, without a persona.

        It is the one that will be talked about, or the other one of a transfer test.
        """
        settings = self.plan.settings
        messages = bare_problem(self.plan.prompts, self.policy, self.values(problem=problem.text))
        seed = keyed_seed(self.plan.seed, "initial", problem.id)
        view = open_view(self.participant, messages)
        answers = await self._answers(
            lambda i: self._scripted("initial", problem, i),
            lambda: view,
            None,
            settings.number_initial_attempts,
            seed,
        )
        return await graded(problem, answers, self.participant.thinking)

    async def solve(
        self, problem: Problem, seed: int, catch_up: Callable[[], None], *, alone: bool = False
    ) -> list[Solution]:
        """It solves the whole problem again, or another one, several times independently.

        `catch_up` has it hear the last words, where its own view is read on.  `alone`: a problem of
        a session of which nobody has spoken yet.
        """
        other = problem is not self.conversation.about
        hide = other and self.plan.settings.hide_tutor
        answers = await self._answers(
            lambda i: self._scripted("solution", problem, i, hide_tutor=hide),
            lambda: self._afterwards(catch_up, hide_tutor=hide),
            self._asked_to_solve(problem, alone=alone),
            self.plan.settings.number_student_attempts,
            seed,
        )
        return await graded(problem, answers, self.participant.thinking)

    def _asked_to_solve(self, problem: Problem, *, alone: bool) -> str:
        prompts, values = self.plan.prompts, self.values(problem=problem.text)
        if problem is not self.conversation.about:
            return prompts.transfer.render(**values, tutor_hidden=self.plan.settings.hide_tutor)
        return (prompts.session_alone if alone else prompts.final).render(**values)

    async def _answers(
        self,
        script: Callable[[int], str | None],
        view: Callable[[], View],
        ask: str | None,
        number: int,
        seed: int,
    ) -> list[Completion]:
        """Scripted ones first, then the model's for those that the script leaves to it."""
        scripted = [text for i in range(number) if (text := script(i)) is not None]
        found = [Completion(text=text, stop_reason="stop") for text in scripted]
        if (left := number - len(found)) > 0:
            sampled = await view().aside(
                ask,
                n=left,
                max_tokens=self.plan.settings.max_tokens_per_student_attempt,
                seed=seed,
                ending=solution_ending(self.plan.settings),
            )
            for answer in sampled:
                spend(self.conversation, self.participant.role, answer)
            found += sampled
        return found

    def _afterwards(self, catch_up: Callable[[], None], *, hide_tutor: bool) -> View:
        """Its view for a post-test.

        The persona asks for short steps and allows mistakes, which the pre-test does not: under a
        system text of its own the conversation is read again, and both tests ask for the same.
        `hide_tutor`: read again with "(hidden)" in place of all that the tutor said.
        """
        system = None if self.policy.keeps_persona else self.plan.prompts.final_system
        if system is None and not hide_tutor:
            catch_up()
            return self.view
        view, turns, at = self._open(system), iter(self._turns), 0
        for message in (m for m in self.conversation.messages if m.heard):
            while at < message.problem:
                at += 1
                view.hear("", self.words_about(at))
            hidden = hide_tutor and message.role == "teacher" and message.visible.strip()
            if message.role == "student" and not message.speaker:
                view.replay(next(turns))
            else:
                words = HIDDEN if hidden else message.visible
                view.hear(message.speaker or message.role, words)
        return view
