"""A conversation as credit sees it: what it earned, and which tokens each tutor turn has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from config.errors import RunError
from utils.records import ConversationRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class TutorTurn:
    """One turn: its sampled tokens are `start` to `end` (not included) of the completion."""

    start: int
    end: int
    earns: bool = True  # false: it failed its rules, and shares in no outcome
    cost: float = 0.0  # what it pays for that, in advantage
    problem: int = 0  # which one of a session it is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One conversation.  `rewards`: by name, with `total`; empty: left out of its group."""

    rewards: Mapping[str, float]
    turns: tuple[TutorTurn, ...] = ()

    @property
    def places(self) -> list[tuple[int, int]]:
        """(problem of the session, which turn about it) of each turn."""
        seen: Counter[int] = Counter()
        found = []
        for turn in self.turns:
            found.append((turn.problem, seen[turn.problem]))
            seen[turn.problem] += 1
        return found


def runs_of(mask: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(start, end) of each unbroken run of ones."""
    start: int | None = None
    for at, own in enumerate((*mask, 0)):
        if own and start is None:
            start = at
        elif not own and start is not None:
            yield start, at
            start = None


def outcome_of(record: ConversationRecord) -> Outcome:
    """The outcome of a record.

    Turns follow one another with a template's tokens between them, so each is one run of sampled
    tokens; a turn of which nothing was sampled has none.  Raises RunError where they do not match.
    """
    spoken = [m for m in record.messages if m.role == "teacher"]
    if record.trajectory is None:  # a tutor without ids: turns without tokens
        places: Iterator[tuple[int, int]] = iter([(0, 0)] * len(spoken))
    else:
        found = list(runs_of(record.trajectory.mask))
        silent = sum(m.tokens == 0 for m in spoken)
        if len(found) not in (len(spoken), len(spoken) - silent):
            raise RunError(
                f"conversation {record.key}: {len(spoken)} tutor turns, of which {silent} empty, "
                f"and {len(found)} runs of sampled tokens"
            )
        rest = iter(found)
        given = len(found) == len(spoken)
        places = iter([next(rest) if given or m.tokens else (0, 0) for m in spoken])
    return Outcome(
        rewards=record.rewards,
        turns=tuple(
            TutorTurn(start=start, end=end, earns=m.earns, cost=m.cost, problem=m.problem)
            for m, (start, end) in zip(spoken, places, strict=True)
        ),
    )
