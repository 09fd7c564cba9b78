"""The toy's students for sessions, by rule: what they were led through helps them on the next sum.

    generation.students.forgets: {persona: prompt_templates/toy/student.txt,
                                  replies: toy.forgets:slowly}

A student holds what there is to learn more or less firmly, from 0 to 1.  A talk that leads him
through both steps makes it `LED`, one step half of that.  A sum that he has to do by himself is
practice, which makes what he holds firmer; to be told a result teaches nothing.  Every message
takes a share of all away: he forgets.  While he is helped he solves as every toy student does
(`toy.world.RATES`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toy.world import RATES, Sum, heard, reply, solve, worked
from utils.seeding import keyed_rng
from utils.students.moment import Moment, Replies

LED = {"both": 0.5, "ones": 0.25, "tens": 0.25}  # how firmly it is held after such a talk


@dataclass(frozen=True, slots=True, kw_only=True)
class Mind:
    """How firmly it is held; `forgetting`: what each message takes of that, as a share."""

    forgetting: float
    held: float = 0.0

    def after(self, turns: Sequence[tuple[str, str]]) -> Mind:
        """What is held once a sum has been talked about in these turns (speaker, words).

        Practice is a second chance: held with h, it becomes 1 - (1 - h)^2.
        """
        state = heard(said for speaker, said in turns if speaker == "teacher")
        if state in LED:
            held = max(self.held, LED[state])
        else:
            held = self.held if state == "told" else 1 - (1 - self.held) ** 2
        return Mind(forgetting=self.forgetting, held=held * (1 - self.forgetting) ** len(turns))

    def rate(self, tutor_turns: Iterable[str] = ()) -> float:
        """How often a sum is solved: by what is held, or by what this talk helps, if it is more."""
        cold, most = RATES["cold"], RATES["both"]
        return max(RATES[heard(tutor_turns)], cold + (most - cold) * self.held)


def forgets(forgetting: float) -> Replies:
    """What a student of this forgetting says and solves; chance is of the moment's seed."""

    def replies(moment: Moment) -> str:
        problem = Sum.parse(moment.problem)
        tutor = [said for speaker, said in moment.turns if speaker == "teacher"]
        if moment.what == "turn":
            return reply(tutor[-1] if tutor else "")
        address = (moment.what, moment.problem, len(moment.turns), moment.seed, moment.sample)
        rng = keyed_rng("toy", "forgets", *address)
        if heard(tutor) == "told":
            return solve(problem, tutor, rng)
        mind = Mind(forgetting=forgetting)
        for talk in moment.earlier:
            mind = mind.after(talk.turns)
        return worked(problem, carried=rng.random() < mind.rate(tutor))

    return replies


never = forgets(0.0)
slowly = forgets(0.02)
quickly = forgets(0.2)
