"""One variant of a problem: rewritten, solved blind several times, about as hard for the student.

What the writer says the answer is counts for nothing: it solves its own problem without having
seen how it came about, and where its solutions agree, that is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from config.schema import GenerationSettings
from src.dialog.solutions import solution_ending
from src.dialog.views.open_view import open_view
from src.dialog.views.participants import Participant
from utils.answers.equality import equal, last_boxed
from utils.data.problems import Problem
from utils.data.rows.bad_rows import BadRow
from utils.data.rows.references import refuse_unreachable
from utils.prompts import Prompt
from utils.seeding import keyed_seed

_LABEL = re.compile(r"^\W*(?:new\s+)?problem\W*:\W*", re.IGNORECASE)
LONGEST = 3.0  # times the letters of the problem itself

Rate = Callable[[Problem], Awaitable[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a variant has to be."""

    solves: int = 5  # blind solutions
    agree: float = 0.8  # of them, the share that must have one answer
    near: float = 0.25  # how far the student's solve rate may be from that of the problem
    at_most: float = 1.0  # the student's solve rate on it
    tries: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What came out: a problem with its answer, or the reasons of each try that was refused."""

    text: str = ""
    answer: str = ""
    rate: float | None = None  # the student's, on it
    agreement: float | None = None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes and solves variants."""

    participant: Participant
    rewrite: Prompt
    solve: Prompt
    settings: GenerationSettings
    seed: int

    async def ask(self, prompt: str, *, n: int, seed: int, boxed: bool) -> list[str]:
        """What it writes, without its planning; nothing for what was cut off."""
        answers = await open_view(self.participant, [{"role": "user", "content": prompt}]).aside(
            None,
            n=n,
            max_tokens=self.settings.max_tokens_per_student_attempt,
            seed=seed,
            ending=solution_ending(self.settings) if boxed else None,
        )
        show = self.participant.thinking.visible
        return [show(a.text) if boxed or a.stop_reason == "stop" else "" for a in answers]

    async def rewritten(self, problem: Problem, number: int) -> str:
        """A new problem, without the label that some models put before it."""
        seed = keyed_seed(self.seed, "variant", problem.id, number)
        told = self.rewrite.render(problem=problem.text, answer=problem.answer)
        [text] = await self.ask(told, n=1, seed=seed, boxed=False)
        return _LABEL.sub("", text).strip(' \n"')

    async def answers(self, problem: Problem, text: str, number: int, solves: int) -> list[str]:
        """Its blind solutions' boxed answers; empty for one without."""
        seed = keyed_seed(self.seed, "blind", problem.id, number)
        found = await self.ask(self.solve.render(problem=text), n=solves, seed=seed, boxed=True)
        return [last_boxed(text) or "" for text in found]


async def make_variant(
    problem: Problem, known: float, writer: Writer, rate: Rate, demands: Demands
) -> Variant | None:
    """The first try that is as demanded; None where a request failed for good.

    `known`: how often the student solves the problem itself; `rate` measures it on another one.
    """
    refused: list[str] = []
    for number in range(demands.tries):
        text = await writer.rewritten(problem, number)
        if reason := unfit(text, problem):
            refused.append(reason)
            continue
        answers = await writer.answers(problem, text, number, demands.solves)
        answer, agreement = agreed(answers)
        if reason := unsolved(answer, agreement, problem, demands):
            refused.append(reason)
            continue
        other = Problem(id=f"{problem.id} (variant {number})", text=text, answer=answer)
        measured = await rate(other)
        if measured is None:
            return None
        if abs(measured - known) > demands.near or measured > demands.at_most:
            easy = measured > min(known, demands.at_most)
            refused.append("too easy" if easy else "too hard")
            continue
        return Variant(
            text=text, answer=answer, rate=measured, agreement=agreement, refused=tuple(refused)
        )
    return Variant(refused=tuple(refused))


def unfit(text: str, problem: Problem) -> str:
    """Why a text cannot be a variant; empty where it can."""
    if not text:
        return "no text, or cut off"
    if " ".join(text.split()).casefold() == " ".join(problem.text.split()).casefold():
        return "the problem itself"
    if len(text) > LONGEST * max(len(problem.text), 40):
        return "too long"
    return ""


def agreed(answers: Sequence[str]) -> tuple[str, float]:
    """(the answer that most solutions have, their share); a solution without one agrees with none.

    Equal are answers that the classroom takes for equal; of a tie, the one given first.
    """
    best, most = "", 0
    for answer in answers:
        count = sum(bool(other) and equal(other, answer) for other in answers) if answer else 0
        if count > most:
            best, most = answer, count
    return best, most / len(answers) if answers else 0.0


def unsolved(answer: str, agreement: float, problem: Problem, demands: Demands) -> str:
    """Why the blind solutions are not good enough; empty where they are."""
    if not answer or agreement < demands.agree:
        return "solutions that differ"
    try:
        refuse_unreachable(answer)
    except BadRow:
        return "an answer that cannot be compared"
    return "the same answer" if equal(answer, problem.answer) else ""
