"""Who may be asked now: the scheduling of residency, as pure state without clocks or servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from config.roles import Phase


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One request's place at the gate; compared by identity."""

    engine: str
    number: int  # how many asked before


@dataclass(slots=True)
class Gate:
    """Requests pass while their engine is awake; the others wait for their group's turn.

    `groups` are the sets of engines that may be awake together; engines in none of them are
    always awake.  The caller moves it on: `ask`, `leave`, and, whenever something changed,
    `admit` and `next_group`; it sleeps and wakes the engines itself and then calls `switched`.
    Each of these looks at every engine, and at no request but those that it lets through: whoever
    asks or leaves moves the gate on, so that anything more would cost the square of their number.
    """

    groups: Sequence[frozenset[str]]
    current: frozenset[str] = frozenset()  # the group that is awake
    # by engine, each in the order they came; an engine that nobody waits for is not in it
    waiting: dict[str, dict[Ticket, None]] = field(default_factory=dict)
    active: Counter[str] = field(default_factory=Counter)
    switching: bool = False
    asked: int = 0

    def is_gated(self, engine: str) -> bool:
        return any(engine in group for group in self.groups)

    def ask(self, engine: str) -> Ticket:
        """Queue one request; it may start when `admit` returns its ticket."""
        ticket = Ticket(engine, self.asked)
        self.asked += 1
        self.waiting.setdefault(engine, {})[ticket] = None
        return ticket

    def admit(self) -> list[Ticket]:
        """The requests that start now, in the order they came."""
        opened = [self.waiting.pop(engine) for engine in list(self.waiting) if self._open(engine)]
        admitted = sorted(chain.from_iterable(opened), key=lambda ticket: ticket.number)
        self.active.update(t.engine for t in admitted)
        return admitted

    def leave(self, ticket: Ticket) -> None:
        """A request has ended, or is no longer wanted."""
        queue = self.waiting.get(ticket.engine, {})
        if ticket not in queue:
            self.active[ticket.engine] -= 1
            return
        del queue[ticket]
        if not queue:
            del self.waiting[ticket.engine]

    def next_group(self) -> frozenset[str] | None:
        """The group to wake now: the one most waited for, once the awake one is idle.

        None while anything runs on a gated engine, while a switch is under way, or if nobody
        waits for a sleeping engine.  Ties go to whoever has waited longest.
        """
        if self.switching or not self.waiting or self._busy():
            return None
        if any(self._open(engine) for engine in self.waiting):
            return None
        first = min(self.waiting, key=lambda engine: next(iter(self.waiting[engine])).number)

        def wanted(group: frozenset[str]) -> tuple[int, bool]:
            return sum(len(self.waiting.get(engine, ())) for engine in group), first in group

        return max(self.groups, key=wanted)

    def switch(self) -> None:
        """A switch begins: nobody passes to a gated engine until `switched`."""
        self.switching = True

    def switched(self, awake: frozenset[str]) -> None:
        self.switching, self.current = False, awake

    def _open(self, engine: str) -> bool:
        if not self.is_gated(engine):
            return True
        return not self.switching and engine in self.current

    def _busy(self) -> bool:
        return any(n and self.is_gated(engine) for engine, n in self.active.items())


def groups_of(residency: str, phases: Mapping[str, Collection[Phase]]) -> list[frozenset[str]]:
    """The groups of a residency, from {engine that sleeps: when it is asked}.

    `phase`: those that take turns together, those of judges together; an engine of both stands in
    both.  `turn`: each engine alone.  `always`: none is gated.  Raises ValueError for an engine
    that sleeps and is never asked: it would stay asleep, and whoever asks it would wait for ever.
    """
    if residency == "always":
        return []
    if never := [engine for engine, asked in phases.items() if not asked]:
        raise ValueError(f"{never[0]}: sleeps, and no phase wakes it")
    if residency == "turn":
        return [frozenset({engine}) for engine in phases]
    dialog = frozenset(e for e, asked in phases.items() if {"turns", "solving"} & set(asked))
    judging = frozenset(e for e, asked in phases.items() if "judging" in asked)
    return [group for group in dict.fromkeys((dialog, judging)) if group]
