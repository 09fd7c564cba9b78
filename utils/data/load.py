"""Problems and conversations from the configured datasets: columns mapped, checked, mixed by ratio.

What a row must hold is checked before anything is trained; an error names the setting, the file
and the row.  The same entries and seed give the same rows in the same order, in every process.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.problems import Problem
from utils.data.sources import Rows, load_rows
from utils.seeding import keyed_rng
from utils.whole_text import whole

T = TypeVar("T")
_log = logging.getLogger(__name__)

PROBLEM_COLUMNS = ("problem", "answer", "source", "solve_rate", "id")
_REQUIRED = ("problem", "answer")


def load_problems(
    entries: Sequence[DatasetEntry],
    *,
    seed: int,
    limit: int = -1,
    setting: str = "dataset.train_datasets",
) -> list[Problem]:
    """The problems of all entries, mixed by their ratios, in an order of this seed.

    `ratio` is the share of a source's rows that is used, rounded to a whole number; `limit` (-1:
    none) divides itself over the sources in proportion.  Exactly equal problems of one source
    count once.  Raises ConfigError that begins with the setting to change.
    """
    sources = [_problems(entry, f"{setting}[{index}]", seed) for index, entry in enumerate(entries)]
    mixed = mix(sources, [e.ratio for e in entries], seed=seed, limit=limit, setting=setting)
    by_id: dict[str, Problem] = {}
    for problem in mixed:
        if by_id.setdefault(problem.id, problem) is not problem:
            raise ConfigError(
                f"{setting}: two problems have the id {problem.id!r} ({problem.source}); "
                "map another column to `id`, or none"
            )
    return mixed


def load_conversations(
    entries: Sequence[DatasetEntry],
    read: Callable[[Mapping[str, Any], str], T | None],
    *,
    seed: int,
    limit: int = -1,
    setting: str = "dataset.train_datasets",
    needed: Sequence[str] = ("messages",),
) -> list[T]:
    """What `read(row, where)` makes of each row (columns renamed to ours), mixed like problems.

    `where` names file and row, for errors; rows of which `read` makes None are left out.  What a
    conversation must be is in utils/data/chat_rows.py.
    """
    sources: list[list[T]] = []
    for index, entry in enumerate(entries):
        name = f"{setting}[{index}]"
        found = load_rows(entry, setting=name, seed=seed)
        columns = _columns(entry, found, needed, needed, name)
        made = (read(_renamed(r, columns), found.where(i)) for i, r in _mappings(found, name))
        sources.append([one for one in made if one is not None])
    return mix(sources, [e.ratio for e in entries], seed=seed, limit=limit, setting=setting)


def mix(
    sources: Sequence[Sequence[T]],
    ratios: Sequence[float],
    *,
    seed: int,
    limit: int = -1,
    setting: str,
) -> list[T]:
    """Take `ratio` of each source, apportion `limit` by largest remainder, shuffle the union."""
    if not sources:
        raise ConfigError(f"{setting}: no dataset is given")
    for index, ratio in enumerate(ratios):
        if not 0 <= ratio <= 1:
            raise ConfigError(f"{setting}[{index}].ratio: {ratio} is not between 0 and 1")
    counts = [math.floor(r * len(s) + 0.5) for s, r in zip(sources, ratios, strict=True)]
    if 0 <= limit < sum(counts):
        counts = _apportion(counts, limit)
    chosen: list[T] = []
    for index, (source, count) in enumerate(zip(sources, counts, strict=True)):
        rows = list(source)
        keyed_rng(seed, "dataset", index).shuffle(rows)
        chosen += rows[:count]
    if not chosen:
        raise ConfigError(f"{setting}: no row is left after ratio and limit")
    keyed_rng(seed, "mix").shuffle(chosen)
    return chosen


def _apportion(counts: Sequence[int], total: int) -> list[int]:
    """Whole shares of `total` in proportion to `counts`; ties go to the earlier source."""
    whole = [count * total // sum(counts) for count in counts]
    remainders = [count * total % sum(counts) for count in counts]
    order = sorted(range(len(counts)), key=lambda i: -remainders[i])
    for index in order[: total - sum(whole)]:
        whole[index] += 1
    return whole


def _problems(entry: DatasetEntry, setting: str, seed: int) -> list[Problem]:
    found = load_rows(entry, setting=setting, seed=seed)
    columns: dict[str, str] = {}
    if not isinstance(found.rows[0], Problem):
        columns = _columns(entry, found, PROBLEM_COLUMNS, _REQUIRED, setting)
    kept: dict[str, Problem] = {}
    dropped: Counter[str] = Counter()
    for index, row in enumerate(found.rows):
        where = found.where(index)
        problem = _problem(row, columns, found.source, setting, where)
        if reason := _outside_band(problem, entry, setting, where):
            dropped[reason] += 1
        elif kept.setdefault(problem.id, problem) != problem:
            raise ConfigError(f"{setting}.columns.id: {where}: {problem.id!r} stands twice")
        elif kept[problem.id] is not problem:
            dropped["a repetition"] += 1
    if dropped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        _log.info("%s: %d problems used; left out: %s", found.label, len(kept), reasons)
    if not kept:
        raise ConfigError(f"{setting}.min_solve_rate: no problem of {found.label} is in the band")
    return list(kept.values())


def _columns(
    entry: DatasetEntry, found: Rows, known: Sequence[str], required: Sequence[str], setting: str
) -> dict[str, str]:
    """Our name -> the column's name, for every column of ours that the source has."""
    there = ", ".join(found.columns)
    for ours, theirs in entry.columns.items():
        if ours not in known:
            raise ConfigError(f"{setting}.columns.{ours}: is none of {', '.join(known)}")
        if theirs not in found.columns:
            raise ConfigError(
                f"{setting}.columns.{ours}: {found.label} has no column {theirs!r}; it has {there}"
            )
    columns = {ours: entry.columns.get(ours, ours) for ours in known}
    columns = {ours: theirs for ours, theirs in columns.items() if theirs in found.columns}
    for ours in required:
        if ours not in columns:
            raise ConfigError(
                f"{setting}.columns.{ours}: {found.label} has no column {ours!r}; name the one "
                f"that holds it ({there})"
            )
    return columns


def _mappings(found: Rows, setting: str) -> list[tuple[int, Mapping[str, Any]]]:
    rows = []
    for index, row in enumerate(found.rows):
        if isinstance(row, Problem):
            raise ConfigError(f"{setting}.name_or_path: {found.label} gives problems, not rows")
        rows.append((index, row))
    return rows


def _renamed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    theirs = set(columns.values())
    other = {key: whole(value) for key, value in row.items() if key not in theirs}
    return other | {ours: whole(row.get(name)) for ours, name in columns.items()}


def _problem(
    row: Mapping[str, Any] | Problem,
    columns: Mapping[str, str],
    source: str,
    setting: str,
    where: str,
) -> Problem:
    if isinstance(row, Problem):
        return row
    values = _renamed(row, columns)
    text = _filled(values.pop("problem"), f"{setting}.columns.problem: {where}: no problem")
    given = _filled(values.pop("answer"), f"{setting}.columns.answer: {where}: no answer")
    answer, solution = split_answer(given)
    if not answer:
        raise ConfigError(f"{setting}.columns.answer: {where}: no answer after ####")
    if solution:
        values.setdefault("solution", solution)
    name = values.pop("id", None)
    source = str(values.pop("source", None) or source)
    digest = hashlib.sha256(f"{source}\n{text}".encode()).hexdigest()[:16]
    return Problem(
        id=digest if name is None else str(name),
        text=text,
        answer=answer,
        source=source,
        extra=values,
    )


def split_answer(given: str) -> tuple[str, str]:
    """(answer, solution): GSM8K writes the solution, then `#### ` and the answer."""
    solution, mark, answer = given.rpartition("####")
    return (answer.strip(), solution.strip()) if mark else (given, "")


def _filled(value: Any, message: str) -> str:
    """The text of a cell that must not be empty; whole floats without their `.0`."""
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    text = "" if value is None else str(value).strip()
    if not text:
        raise ConfigError(message)
    return text


def _outside_band(problem: Problem, entry: DatasetEntry, setting: str, where: str) -> str:
    """Why this problem is left out by its measured solve rate; empty if it is not."""
    low, high = entry.min_solve_rate, entry.max_solve_rate
    if low is None and high is None:
        return ""
    if "solve_rate" not in problem.extra:
        raise ConfigError(
            f"{setting}.columns.solve_rate: a difficulty band is set, and {where} has no column "
            "solve_rate (python -m src.measure_solve_rate writes one)"
        )
    value = problem.extra["solve_rate"]
    if value is None or value == "":
        return "without a solve rate"
    rate = float(value)
    if not 0 <= rate <= 1:
        raise ConfigError(f"{setting}.columns.solve_rate: {where}: {rate} is not between 0 and 1")
    inside = (low is None or rate >= low) and (high is None or rate <= high)
    return "" if inside else "outside the solve-rate band"
