"""A problem to be taught."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem with its reference answer; `extra` holds the source's other columns.

    `earlier`: the problems of its session that a tutor talks about before it, in order.
    """

    id: str
    text: str
    answer: str
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    earlier: tuple[Problem, ...] = ()
