"""What a person is asked in the classroom, and what the terminal and the page must both offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from src.dialog.conversation import Conversation, State
from utils.data.problems import Problem
from utils.records import ConversationRecord

Seat = Literal["student", "tutor"]
Wanted = Literal["attempt", "message", "solution"]
ROLE_OF: dict[Seat, Literal["student", "teacher"]] = {"student": "student", "tutor": "teacher"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the person wrote; `ends`: the conversation is over with it."""

    text: str
    ends: bool = False


class Left(Exception):
    """The person leaves; a conversation that is not over is not kept."""


class Surface(Protocol):
    """A terminal or a page.  Every question may raise Left."""

    async def choose(self, problems: Sequence[Problem]) -> Problem | None:
        """The next problem; None: draw one."""

    def follow(self, conversation: Conversation) -> None:
        """The conversation has moved on: show what is new."""

    async def ask(self, wanted: Wanted, conversation: Conversation) -> Said:
        """The person's next words."""

    async def show(self, record: ConversationRecord) -> None:
        """The conversation as it is kept: plans, verdicts, solutions, rewards."""


def wanted_in(conversation: Conversation) -> Wanted:
    """What a request to the person is for, by where the conversation stands."""
    if conversation.state is State.GENERATE_SOLUTION:
        return "solution"
    return "message" if conversation.messages else "attempt"


def others_turn(conversation: Conversation, seat: Seat) -> str:
    """What the person waits for; empty where it is their own turn, or all is over."""
    match conversation.state:
        case State.TEACHER_TURN if seat == "student":
            return "The tutor is writing"
        case State.STUDENT_TURN if seat == "tutor":
            return "The student is writing"
        case State.JUDGE_TURN:
            return "The judges are reading"
        case State.GENERATE_SOLUTION if seat == "tutor":
            return "The student solves the problem alone"
        case _:
            return ""
