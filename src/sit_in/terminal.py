"""The classroom in a terminal: prompt_toolkit asks, rich shows.

Enter sends, Alt+Enter begins a new line, Ctrl+D ends the conversation with what stands in the line,
Ctrl+C leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.status import Status
from rich.text import Text

from src.dialog.conversation import Conversation
from src.sit_in.seat import ROLE_OF, Left, Said, Seat, Wanted, others_turn
from utils.data.problems import Problem
from utils.records import ConversationRecord, Message, VerdictRecord
from utils.report.conversations import hidden_text
from utils.report.terminal import plain

ASKED: dict[Wanted, str] = {
    "attempt": "Try the problem on your own first; your tutor reads this.",
    "message": "",
    "solution": "Now solve the problem alone. Your final answer, nothing else:",
}
KEYS = "Enter sends · Alt+Enter new line · Ctrl+D ends the conversation · Ctrl+C leaves"
MOST_LISTED = 9
MOST_CHARACTERS = 2_000  # of one line of a model's text


def lines(text: str) -> Text:
    """Someone's words, line by line, without anything that could steer the terminal."""
    return Text("\n".join(plain(line, MOST_CHARACTERS) for line in text.splitlines()))


class Terminal:
    """A `Surface` on standard input and output."""

    def __init__(
        self, seat: Seat, *, console: Console | None = None, input: Any = None, output: Any = None
    ) -> None:
        self.seat, self.console = seat, console or Console()
        self._session: PromptSession[Said] = PromptSession(
            key_bindings=_keys(), input=input, output=output
        )
        self._shown = 0
        self._open: Conversation | None = None
        self._status: Status | None = None

    async def choose(self, problems: Sequence[Problem]) -> Problem | None:
        found = problems
        while True:
            for number, problem in enumerate(found[:MOST_LISTED], 1):
                self.console.print(Text(f" {number}  {plain(problem.text, 90)}"))
            more = f" ({len(found)} in all)" if len(found) > MOST_LISTED else ""
            typed = await self._prompt(
                f"Problem{more}: a number, words to look for, or Enter to draw one > "
            )
            if typed.ends:
                raise Left
            words = typed.text.strip()
            if not words:
                return None
            if words.isdigit() and 1 <= int(words) <= min(len(found), MOST_LISTED):
                return found[int(words) - 1]
            found = [p for p in problems if words.casefold() in p.text.casefold()]
            if not found:
                self.console.print(Text("No problem has these words."))
                found = problems

    def follow(self, conversation: Conversation) -> None:
        if conversation is not self._open:
            self._open, self._shown = conversation, 0
            self.console.print(Rule(Text(f"You are the {self.seat}")))
            self.console.print(Panel(lines(conversation.problem.text), title="The problem"))
            self.console.print(Text(KEYS, style="dim"))
        self._wait_for("")
        for message in conversation.messages[self._shown :]:
            if message.role != ROLE_OF[self.seat] or message.speaker:  # a peer is a student too
                self.console.print(self._turn(message))
        self._shown = len(conversation.messages)
        self._wait_for(others_turn(conversation, self.seat))

    async def ask(self, wanted: Wanted, conversation: Conversation) -> Said:
        self._wait_for("")
        if ASKED[wanted]:
            self.console.print(Text(ASKED[wanted], style="bold"))
        while True:
            said = await self._prompt(f"{self.seat} > ")
            if said.text.strip() or said.ends or wanted == "solution":
                return said

    async def show(self, record: ConversationRecord) -> None:
        self._wait_for("")
        self.console.print(Rule(Text("The conversation is over")))
        for part in outcome(record, self.seat):
            self.console.print(part)

    def _turn(self, message: Message) -> RenderableType:
        name = message.speaker or ("tutor" if message.role == "teacher" else "student")
        return Panel(lines(message.visible), title=Text(plain(name, 40)), title_align="left")

    def _wait_for(self, what: str) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if what and self.console.is_terminal:
            self._status = self.console.status(Text(what))
            self._status.start()

    async def _prompt(self, text: str) -> Said:
        try:
            return await self._session.prompt_async(text)
        except (KeyboardInterrupt, EOFError):
            raise Left from None


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.app.exit(result=Said(text=event.current_buffer.text))

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-d")
    def end(event: KeyPressEvent) -> None:
        event.app.exit(result=Said(text=event.current_buffer.text, ends=True))

    return keys


def outcome(record: ConversationRecord, seat: Seat) -> list[RenderableType]:
    """What is told afterwards: plans, verdicts, solutions, rewards, the answer."""
    parts: list[RenderableType] = []
    if record.error:
        parts.append(Text(f"It failed: {plain(record.error, 500)}", style="red"))
    plans = [hidden_text(m.content, m.visible) for m in record.messages if m.role == "teacher"]
    shown = [lines(plan) for plan in plans if plan and seat == "student"]
    if shown:
        parts.append(Panel(Group(*shown), title="What the tutor planned", title_align="left"))
    for rule, verdicts in record.verdicts.items():
        parts += [_verdict(rule, verdict) for verdict in verdicts]
    right = sum(s.correct for s in record.solutions)
    if seat == "student" and record.solutions:
        [own] = record.solutions
        parts.append(Text(f"Your answer {plain(own.answer or '(none)')}: " + _right(own.correct)))
    elif record.solutions:
        before = sum(s.correct for s in record.initial_solutions)
        earlier = f", {before} of {len(record.initial_solutions)} before"
        after = f"The student solves it {right} times of {len(record.solutions)} after"
        parts.append(Text(after + (earlier if record.initial_solutions else "")))
    rewards = ", ".join(f"{name} {value:+.2f}" for name, value in record.rewards.items() if value)
    parts.append(Text(f"The right answer is {plain(record.answer)}. Reward: {rewards or '0'}"))
    return parts


def _right(correct: bool) -> str:
    return "right" if correct else "wrong"


def _verdict(rule: str, verdict: VerdictRecord) -> Text:
    words = {"OK": ("accepts", "green"), "REJECT": ("rejects", "red"), None: ("no verdict", "dim")}
    word, style = words[verdict.decision]
    text = Text(f"{plain(rule).replace('_', ' ')}: ")
    return text.append(word, style=style).append(f"  {plain(verdict.reasoning, 600)}")
