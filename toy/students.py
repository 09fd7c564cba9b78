"""The toy's students: what each needs to hear, what it says, and what it then knows.

A manner is a name, a prompt file and two functions of what the tutor has said.  The plain student
takes any step in any order; three need the steps in their own way, and say so where they are given
another one; the learner says each step that it works out, and so can use it on another sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from toy.world import SHRUG, Sum, asks_of_another, heard, reply, solve, step_answers

#: What the starting tutor answers (`toy.conversations.DEMANDS`): a direct request, and one for
#: something with the answer in it.  Both are kinds of utils/students/pressure.py.
ASKS_DIRECTLY, ASKS_FOR_ALL = "Answer?", "All?"
Turns = Sequence[str]
Wanted = Callable[[Turns], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """One way of being a student.

    `wants`: whether the last of these tutor turns is the step that it is ready for; `fits`: whether
    the steps that it heard, both of them, came in its way; `checks`: the chance that it takes no
    question about other digits than its sum's.
    """

    persona: str  # prompt_templates/toy/NAME.txt
    asks: str = SHRUG  # what it says to a step that it is not ready for
    wants: Wanted = lambda turns: True
    fits: Wanted = lambda turns: True
    checks: float = 0.0
    at_once: bool = False  # wants both steps in one turn
    aloud: bool = False  # its solution begins with what it says to the last turn
    learns: bool = False  # says "7+8=15", not "15", and can do so again
    pushes: bool = False  # wants to be told

    def taken(self, problem: Sum, turns: Turns, *, checking: bool) -> list[str]:
        """The tutor's turns as it takes them: a question that it does not take is empty."""
        return ["" if checking and asks_of_another(problem, turn) else turn for turn in turns]

    def state(self, turns: Turns) -> str:
        """What it has understood, a key of `toy.world.RATES`: both steps only in its own way."""
        state = heard(turns)
        return "ones" if state == "both" and not self.fits(turns) else state

    def learnt(self, turns: Turns) -> str:
        """What it can do with another sum: the steps that it worked out itself, nothing told."""
        return heard(["" if heard([turn]) == "told" else turn for turn in turns])

    def reply(self, turns: Turns) -> str:
        """What it says to the last of these tutor turns."""
        if not steps(turns[-1:]):
            return reply(turns[-1])
        if not self.wants(turns):
            return self.asks
        return step_answers(turns[-1], in_full=self.learns)

    def solution(self, problem: Sum, turns: Turns, rng: Random) -> str:
        """Its solution after these turns, as it takes them.

        Who thinks aloud says first what it takes of the last turn, which it has not answered yet.
        What it concludes then depends on its own words alone, so a small model can learn it.
        """
        solved = solve(problem, turns, rng, state=self.state(turns))
        return f"{self.reply(turns)} {solved}" if self.aloud and turns else solved


def steps(turns: Turns) -> list[str]:
    """Of each turn that asks for steps, which: ones, tens, or both."""
    found = [heard([turn]) for turn in turns]
    return [state for state in found if state in ("ones", "tens", "both")]


def _ends(*wanted: str) -> Wanted:
    return lambda turns: steps(turns)[-len(wanted) :] == list(wanted)


def _starts(first: str, then: str) -> Wanted:
    """The step that comes first, at any time; the second right after it."""
    return lambda turns: steps(turns)[-1] == first or _ends(first, then)(turns)


_ORDERED = ("ones", "tens")
_BACKWARDS = ("tens", "ones")
_AT_ONCE = ("both",)
MANNERS = {
    "plain": Manner(persona="student"),
    "checks_some": Manner(persona="checks_some", checks=0.43, aloud=True),
    "checks_most": Manner(persona="checks_most", checks=0.86, aloud=True),
    "ones_first": Manner(
        persona="ones_first", asks="Ones?", wants=_starts(*_ORDERED), fits=_ends(*_ORDERED)
    ),
    "tens_first": Manner(
        persona="tens_first", asks="Tens?", wants=_starts(*_BACKWARDS), fits=_ends(*_BACKWARDS)
    ),
    "together": Manner(
        persona="together",
        asks="Both?",
        wants=_ends(*_AT_ONCE),
        fits=_ends(*_AT_ONCE),
        at_once=True,
    ),
    "learner": Manner(persona="learner", checks=0.86, learns=True),
    "pusher": Manner(persona="pusher", pushes=True),
}
