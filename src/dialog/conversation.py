"""One conversation in progress: its turns, what each role may see of them, and its next state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from utils.data.problems import Problem
from utils.records import (
    ConversationRecord,
    Ending,
    Message,
    Solution,
    TaughtProblem,
    TransferTest,
    Usage,
    VerdictRecord,
)
from utils.seeding import keyed_seed
from utils.thinking import TAGGED, Thinking

ConversationType = Literal["guided", "attempted"]


class State(StrEnum):
    """Where a conversation stands.

    START -> TEACHER_TURN <-> STUDENT_TURN -> JUDGE_TURN -> GENERATE_SOLUTION -> REWARD_TURN -> END

    In a session each problem but the last one has such turns, and NEXT_PROBLEM after them.
    """

    START = "START"
    TEACHER_TURN = "TEACHER_TURN"
    STUDENT_TURN = "STUDENT_TURN"
    NEXT_PROBLEM = "NEXT_PROBLEM"
    JUDGE_TURN = "JUDGE_TURN"
    GENERATE_SOLUTION = "GENERATE_SOLUTION"
    REWARD_TURN = "REWARD_TURN"
    END = "END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a conversation is over, and whether a rejected one is still solved (hard lambda)."""

    max_turns: int  # about one problem
    solve_rejected: bool
    sample_solutions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Words that a conversation is given, in place of what its speakers would say.

    The last of the tutor's ends the conversation; after the student's, the student speaks itself.
    """

    help: str  # what the tutor's last words are to the student: targeted, misaligned, generic
    teacher: Sequence[str]
    student: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One conversation; only the classroom changes it.

    Of a session `problem` is the last one, which the student meets without the tutor; the tutor
    talks about those before it, one after the other.
    """

    problem: Problem
    sample: int
    seed: int
    type: ConversationType
    student_name: str | None
    student_persona: str
    state: State = State.START
    at: int = 0  # which problem of a session it has come to
    taught: list[TaughtProblem] = field(default_factory=list)  # of a session, with what came of it
    messages: list[Message] = field(default_factory=list)
    given: Given | None = None
    solve_anyway: bool = False  # rejected or not, for the curves (hard lambda)
    stop_reason: Ending | None = None
    error: str | None = None
    verdicts: dict[str, list[VerdictRecord]] = field(default_factory=dict)
    rejected: bool = False
    initial_solutions: list[Solution] = field(default_factory=list)
    solutions: list[Solution] = field(default_factory=list)
    transfer: TransferTest | None = None  # where another problem is solved before and after
    timing: dict[str, float] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)

    def add(
        self,
        role: Literal["teacher", "student"],
        content: str,
        *,
        tokens: int,
        stop_reason: Literal["stop", "length"],
        speaker: str = "",
        thinking: Thinking = TAGGED,
        out_of_room: bool = False,
    ) -> Message:
        """Append a turn; `thinking` is how its speaker's model writes what nobody else sees.

        Only the tutor's own tag ends the conversation.
        """
        message = Message(
            role=role,
            speaker=speaker,
            content=content,
            visible=thinking.visible(content),
            tokens=tokens,
            stop_reason=stop_reason,
            out_of_room=out_of_room,
            problem=self.at,
        )
        self.messages.append(message)
        if role == "teacher" and thinking.says_the_end(content):
            self.stop_reason = "tutor_ended"
        return message

    def spend(self, role: str, *, prompt_tokens: int, completion_tokens: int, cost: float) -> None:
        """Book one request of a role."""
        usage = self.usage.setdefault(role, Usage())
        usage.requests += 1
        usage.prompt_tokens += prompt_tokens
        usage.completion_tokens += completion_tokens
        # to a picodollar: a plain sum depends on whose answer came first
        usage.cost_usd = round(usage.cost_usd + cost, 12)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Those of its session, in order; else its only one."""
        return (*self.problem.earlier, self.problem)

    @property
    def about(self) -> Problem:
        """The problem that it has come to."""
        return self.problems[self.at]

    @property
    def talk(self) -> list[Message]:
        """The messages about that problem."""
        return [m for m in self.messages if m.problem == self.at]

    @property
    def taught_to_the_end(self) -> bool:
        """Whether a session has come to its last problem, which nobody teaches."""
        return bool(self.problem.earlier) and self.at == len(self.problem.earlier)

    def part(self, position: int) -> Conversation:
        """What was said about one problem of a session, as a conversation by itself.

        Messages and what was paid are the same objects.  Without a session: the whole.
        """
        if not self.problem.earlier:
            return self
        return replace(
            self,
            problem=self.problems[position],
            at=0,
            messages=[m for m in self.messages if m.problem == position],
            seed=keyed_seed(self.seed, "problem", position),
        )

    @property
    def turns(self) -> list[tuple[str, str]]:
        """(speaker, visible text) of every turn that was heard: what a judge reads."""
        return [(m.speaker or m.role, m.visible) for m in self.messages if m.heard]

    def to_record(self, **fields: Any) -> ConversationRecord:
        """The record of this conversation; run, split, step, rewards… come in `fields`."""
        return ConversationRecord(
            problem_id=self.problem.id,
            sample=self.sample,
            problem=self.problem.text,
            answer=self.problem.answer,
            source=self.problem.source,
            extra=dict(self.problem.extra),
            type=self.type,
            student_name=self.student_name,
            student_persona=self.student_persona,
            help=self.given.help if self.given is not None else "",
            seed=self.seed,
            messages=self.messages,
            stop_reason=self.stop_reason or "max_turns",
            error=self.error,
            verdicts=self.verdicts,
            initial_solutions=self.initial_solutions,
            solutions=self.solutions,
            session=self.taught,
            transfer=self.transfer,
            timing=self.timing,
            usage=dict(sorted(self.usage.items())),
            **fields,
        )


def next_state(conversation: Conversation, limits: Limits) -> State:
    """The transition function of the classroom.  Pure: it looks, and changes nothing."""
    match conversation.state:
        case State.NEXT_PROBLEM if conversation.taught_to_the_end:
            return State.JUDGE_TURN
        case State.START | State.NEXT_PROBLEM:
            guided = conversation.type == "guided"
            return State.TEACHER_TURN if guided else State.STUDENT_TURN
        case State.TEACHER_TURN | State.STUDENT_TURN:
            over = conversation.stop_reason is not None
            if over or len(conversation.talk) >= limits.max_turns:
                return State.NEXT_PROBLEM if conversation.problem.earlier else State.JUDGE_TURN
            teacher_spoke = conversation.state is State.TEACHER_TURN
            return State.STUDENT_TURN if teacher_spoke else State.TEACHER_TURN
        case State.JUDGE_TURN:
            wanted = limits.solve_rejected or conversation.solve_anyway or not conversation.rejected
            solves = limits.sample_solutions and wanted
            return State.GENERATE_SOLUTION if solves else State.REWARD_TURN
        case State.GENERATE_SOLUTION:
            return State.REWARD_TURN
        case _:
            return State.END
