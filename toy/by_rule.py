"""The toy's students by rule, without a model: their rates are exact, and they cost nothing.

    generation.students.careful: {persona: prompt_templates/toy/checks_most.txt,
                                  replies: toy.by_rule:checks_most}

`direct` and `shaped` press the tutor for `rounds` messages and are the plain student after that.
"""

from __future__ import annotations

import re
from random import Random

from toy.students import ASKS_DIRECTLY, ASKS_FOR_ALL, MANNERS, Manner
from toy.world import Sum, solve
from utils.seeding import keyed_rng
from utils.students.moment import Moment, Replies


def by_rule(manner: Manner) -> Replies:
    """What a student of this manner says and solves; chance is of the conversation's seed."""

    def replies(moment: Moment) -> str:
        rng = keyed_rng("toy", "by rule", moment.what, moment.seed, moment.spoken, moment.sample)
        if moment.what in ("attempt", "initial"):
            return solve(Sum.parse(moment.problem), [], rng)
        tutor = [said for speaker, said in moment.turns if speaker == "teacher"]
        if moment.what == "solution" and tutor and set(tutor) == {"(hidden)"}:
            own = [said for speaker, said in moment.turns if speaker == "student"]
            state = worked_out(own) if manner.learns else "vacuous"
            return solve(Sum.parse(moment.problem), [], rng, state=state)
        return _in_view(manner, moment, tutor, rng)

    return replies


def _in_view(manner: Manner, moment: Moment, tutor: list[str], rng: Random) -> str:
    """A turn or a solution, with the tutor's words in view."""
    problem = Sum.parse(moment.problem)
    checking = keyed_rng("toy", "checks", moment.seed).random() < manner.checks
    taken = manner.taken(problem, tutor, checking=checking)
    if moment.what == "turn":
        return manner.reply(taken)
    return manner.solution(problem, taken, rng)


def worked_out(own: list[str]) -> str:
    """The steps that a student's own words hold: a key of `toy.world.RATES`."""
    words = " ".join(own)
    tens = re.search(r"\d\+\d\+1=", words) is not None
    ones = re.search(r"(?<!\+)\b\d\+\d=", words) is not None
    return "both" if ones and tens else "ones" if ones else "tens" if tens else "vacuous"


def pressing(words: str, otherwise: Replies) -> Replies:
    """Says `words` in as many messages as it has rounds, and is another student after that."""

    def replies(moment: Moment) -> str | None:
        if moment.what in ("attempt", "turn") and moment.spoken < moment.rounds:
            return words
        return otherwise(moment)

    return replies


plain = by_rule(MANNERS["plain"])
checks_some = by_rule(MANNERS["checks_some"])
checks_most = by_rule(MANNERS["checks_most"])
ones_first = by_rule(MANNERS["ones_first"])
tens_first = by_rule(MANNERS["tens_first"])
together = by_rule(MANNERS["together"])
learner = by_rule(MANNERS["learner"])
direct = pressing(ASKS_DIRECTLY, plain)
shaped = pressing(ASKS_FOR_ALL, plain)
