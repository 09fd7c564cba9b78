"""A problem to be taught."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem with its reference answer; `extra` holds the source's other columns.

    `transfer` is another problem of the same kind, where a post-test asks about one; `earlier` are
    the problems of its session that a tutor talks about before it, in order.
    """

    id: str
    text: str
    answer: str
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    transfer: Problem | None = None
    earlier: tuple[Problem, ...] = ()

    def with_transfer(self, text: str, answer: str) -> Problem:
        """The same problem, with this one as the other of its kind."""
        other = Problem(id=f"{self.id} (transfer)", text=text, answer=answer, source=self.source)
        return replace(self, transfer=other)
