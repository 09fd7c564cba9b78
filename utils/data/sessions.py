"""Sessions: problems that belong together, each with those that a tutor talks about before it.

Rows that share a value of the column `session` make sessions, in the order of the column
`position`; where no row has one, each problem ends a session whose others are drawn by the seed
from the problems of its kind: those of its source and of its columns `kind` and `level`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.seeding import keyed_rng

SESSION, POSITION = "session", "position"
_KIND = ("kind", "level")
_K = "generation.problems_per_session"
_log = logging.getLogger(__name__)


def load_sessions(
    entries: Sequence[DatasetEntry],
    *,
    length: int,
    seed: int,
    limit: int = -1,
    setting: str = "dataset.train_datasets",
    bad_rows: str = "stop",
    transfer: bool = False,
) -> list[Problem]:
    """Problems as `load_problems` gives them, each the last of a session of this `length`.

    `limit` counts sessions.  Raises ConfigError, also where a session cannot be made.
    """

    def load(most: int) -> list[Problem]:
        return load_problems(
            entries, seed=seed, limit=most, setting=setting, bad_rows=bad_rows, transfer=transfer
        )

    problems = load(limit)
    if length == 1:
        return problems
    if not any(_named(problem) for problem in problems):
        return drawn(problems, length, seed=seed)
    if limit > 0:  # a part of the rows is no part of the sessions
        problems = load(-1)
    found = grouped(problems, length, setting=setting)
    return found[:limit] if limit > 0 else found


def grouped(problems: Sequence[Problem], length: int, *, setting: str) -> list[Problem]:
    """The sessions that the column `session` names, in the order of their first rows.

    Of more rows than `length` every so many make a session; what is left over is left out, and
    said.  Raises ConfigError where a row has no session, or no session has enough rows.
    """
    sessions: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        if not (name := _named(problem)):
            raise ConfigError(
                f"{setting}: problem {problem.id!r} has no value in the column {SESSION!r}, "
                "which others have"
            )
        sessions[name].append(problem)
    found: list[Problem] = []
    for rows in sessions.values():
        rows.sort(key=_position)
        whole = len(rows) - len(rows) % length
        found += [_session(rows[at : at + length]) for at in range(0, whole, length)]
    left = len(problems) - length * len(found)
    if not found:
        raise ConfigError(f"{_K}: no session of {setting} has {length} problems")
    if left:
        _log.warning("%s: %d problems left over by sessions of %d", setting, left, length)
    return found


def drawn(problems: Sequence[Problem], length: int, *, seed: int) -> list[Problem]:
    """Every problem as the last of a session; the others are drawn from its kind by its address.

    Raises ConfigError where a kind has too few problems.
    """
    kinds: dict[tuple[str, ...], list[Problem]] = defaultdict(list)
    for problem in sorted(problems, key=lambda p: p.id):
        kinds[_kind(problem)].append(problem)
    found = []
    for problem in problems:
        others = [p for p in kinds[_kind(problem)] if p.id != problem.id]
        if len(others) < length - 1:
            raise ConfigError(
                f"{_K}: a session of {length} needs as many problems of a kind; of "
                f"{' '.join(filter(None, _kind(problem)))} there are {len(others) + 1}"
            )
        earlier = keyed_rng(seed, "session", problem.id).sample(others, length - 1)
        found.append(replace(problem, earlier=tuple(earlier)))
    return found


def _session(problems: Sequence[Problem]) -> Problem:
    *earlier, last = problems
    return replace(last, earlier=tuple(earlier))


def _named(problem: Problem) -> str:
    return _text(problem.extra, SESSION)


def _kind(problem: Problem) -> tuple[str, ...]:
    return (problem.source, *(_text(problem.extra, name) for name in _KIND))


def _text(extra: Mapping[str, Any], name: str) -> str:
    value = extra.get(name)
    return "" if value is None else str(value).strip()


def _position(problem: Problem) -> float:
    """Raises ConfigError where the column holds no number; 0 where there is none."""
    value = problem.extra.get(POSITION, 0)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(
            f"column {POSITION!r}: problem {problem.id!r} has {value!r}, which is no number"
        ) from None
