"""A classroom so small that every conversation, and every group of them, can be written down.

The tutor says one token a turn: ASK, TELL or END.  What it says ends the conversation or goes on,
so the policy decides how many turns there are.  A turn fails its rules with TELL.  The policy is a
softmax over each state's tokens; its gradient is that of all logits together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from utils.credit.outcomes import Outcome, TutorTurn

ASK, TELL, END = range(3)
Vector = NDArray[np.float64]
Said = tuple[int, ...]


@dataclass(frozen=True)
class Talk:
    """One conversation that can happen: what was said, how likely it is, what it earned."""

    said: Said
    probability: float
    reward: float
    scores: tuple[Vector, ...]  # of each turn: the gradient of its log probability


Weights = Callable[[Sequence[Talk]], Sequence[Sequence[float]]]


@dataclass(frozen=True)
class TinyClassroom:
    """`reward` is of the whole conversation; logits are drawn from `seed`."""

    turns: int
    reward: Callable[[Said], float]
    seed: int = 0

    @cached_property
    def states(self) -> list[Said]:
        """What may have been said before a turn."""
        return [s for n in range(self.turns) for s in product((ASK, TELL), repeat=n)]

    @cached_property
    def logits(self) -> Vector:
        return np.random.default_rng(self.seed).normal(size=(len(self.states), 3))

    def policy(self, logits: Vector) -> Vector:
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    @cached_property
    def talks(self) -> list[Talk]:
        """Every conversation."""
        return list(self._from(()))

    def _from(self, said: Said) -> Iterator[Talk]:
        if (said and said[-1] == END) or len(said) == self.turns:
            yield self._talk(said)
            return
        for token in (ASK, TELL, END):
            yield from self._from((*said, token))

    def _talk(self, said: Said) -> Talk:
        policy, probability, scores = self.policy(self.logits), 1.0, []
        for k, token in enumerate(said):
            state = self.states.index(said[:k])
            score = np.zeros_like(self.logits)
            score[state] = -policy[state]
            score[state, token] += 1.0
            scores.append(score.ravel())
            probability *= policy[state, token]
        return Talk(said, float(probability), self.reward(said), tuple(scores))

    # -- what is true ------------------------------------------------------------------------

    def expected(self, value: Callable[[Talk], Vector | float]) -> Vector:
        return np.asarray(sum(t.probability * np.asarray(value(t)) for t in self.talks))

    def gradient(self) -> Vector:
        """Of the expected reward: the policy gradient, exactly."""
        return self.expected(lambda t: t.reward * sum(t.scores))  # type: ignore[arg-type]

    def gradient_by_turn(self) -> list[Vector]:
        """What each turn's tokens have of it."""

        def part(t: Talk, k: int) -> Vector:
            return t.reward * (t.scores[k] if k < len(t.said) else self.zero)

        return [self.expected(partial(part, k=k)) for k in range(self.turns)]

    @property
    def zero(self) -> Vector:
        return np.zeros(self.logits.size)

    def reached(self, k: int) -> float:
        """How likely a conversation has a turn k (from 0)."""
        return sum(t.probability for t in self.talks if k < len(t.said))

    # -- what an estimator gives -------------------------------------------------------------

    def estimates(
        self, group: int, weights: Weights, turn: int | None = None
    ) -> Iterator[tuple[float, Vector]]:
        """(probability, estimate) of every group of that many conversations.

        `weights`: of each conversation's turns, what their scores are multiplied by; summed over
        turns (or of one turn), and averaged over the group.
        """
        for talks in product(self.talks, repeat=group):
            found = self.zero
            for talk, row in zip(talks, weights(talks), strict=True):
                for k, (score, weight) in enumerate(zip(talk.scores, row, strict=True)):
                    if turn in (None, k):
                        found += weight * score / group
            yield float(np.prod([t.probability for t in talks])), found

    def mean(self, group: int, weights: Weights) -> Vector:
        """The exact mean of an estimator."""
        return np.asarray(sum(chance * found for chance, found in self.estimates(group, weights)))

    def variance(self, group: int, weights: Weights, turn: int) -> float:
        """Of one turn's part of an estimator, summed over the logits."""
        known = list(self.estimates(group, weights, turn))
        mean = sum(chance * found for chance, found in known)
        return float(
            sum(chance * float((found - mean) @ (found - mean)) for chance, found in known)
        )


def outcome(talk: Talk, *, cost: float | None = None) -> Outcome:
    """As credit sees it; `cost`: what a turn that tells pays, and then it earns nothing."""
    failed = [cost is not None and token == TELL for token in talk.said]
    return Outcome(
        rewards={"total": talk.reward},
        turns=tuple(
            TutorTurn(start=k, end=k + 1, earns=not bad, cost=(cost or 0.0) if bad else 0.0)
            for k, bad in enumerate(failed)
        ),
    )
