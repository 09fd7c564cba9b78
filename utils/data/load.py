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
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.mixing import mix
from utils.data.pairs import paired
from utils.data.problems import Problem
from utils.data.procedural import PREFIX as PROCEDURAL
from utils.data.repetitions import Kept
from utils.data.rows.bad_rows import BadRow, Sieve
from utils.data.rows.cells import text_of
from utils.data.rows.columns import Columns, map_columns
from utils.data.rows.escapes import repaired
from utils.data.rows.messages import problem_text
from utils.data.rows.references import read_reference, refuse_unreachable
from utils.data.sources import Row, Rows, load_rows

T = TypeVar("T")
_log = logging.getLogger(__name__)

TRANSFER_COLUMNS = ("transfer_problem", "transfer_answer")
PROBLEM_COLUMNS = ("problem", "answer", "source", "solve_rate", "id", *TRANSFER_COLUMNS)
_REQUIRED = ("problem", "answer")


def load_problems(
    entries: Sequence[DatasetEntry],
    *,
    seed: int,
    limit: int = -1,
    setting: str = "dataset.train_datasets",
    bad_rows: str = "stop",
    transfer: bool = False,
) -> list[Problem]:
    """The problems of all entries, mixed by their ratios, in an order of this seed.

    `limit` (-1: none) is shared out over the sources by ratio.  A problem that stands twice in a
    source counts once.  `bad_rows`: a row that cannot be used is an error (`stop`), or left out and
    counted (`drop`).  `transfer`: each with another problem of its kind, from its columns or drawn
    (generated ones); without one it is left out.  Raises ConfigError that begins with the setting
    to change.
    """
    sources = [
        _problems(entry, f"{setting}[{index}]", seed, drop=bad_rows == "drop", transfer=transfer)
        for index, entry in enumerate(entries)
    ]
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
    read: Callable[[Mapping[str, Any], str], T],
    *,
    seed: int,
    limit: int = -1,
    setting: str = "dataset.train_datasets",
    needed: Sequence[str] = ("messages",),
    bad_rows: str = "stop",
) -> list[T]:
    """What `read(row, where)` makes of each row (columns renamed to ours), mixed like problems.

    `where` names file and row, for errors; `read` raises BadRow for a row that cannot be used.
    What a conversation must be is in utils/data/sft/chat_rows.py.
    """
    sources: list[list[T]] = []
    for index, entry in enumerate(entries):
        name = f"{setting}[{index}]"
        found = load_rows(entry, setting=name, seed=seed)
        sieve = Sieve(drop=bad_rows == "drop", setting=name)
        renamed = _renamer(entry, found, needed, needed, sieve)
        made: list[T] = []

        def take(row: Row, where: str, renamed: Columns = renamed, made: list[T] = made) -> None:
            made.append(read(_mapping(row, renamed), where))

        for where, row in found.rows:
            sieve(partial(take, row, where), where)
        _say(found, renamed, sieve, len(made), name)
        sources.append(made)
    return mix(sources, [e.ratio for e in entries], seed=seed, limit=limit, setting=setting)


def _problems(
    entry: DatasetEntry, setting: str, seed: int, *, drop: bool, transfer: bool
) -> list[Problem]:
    found = load_rows(entry, setting=setting, seed=seed)
    sieve, kept = Sieve(drop=drop, setting=setting), Kept(setting)
    renamed = _renamer(entry, found, PROBLEM_COLUMNS, _REQUIRED, sieve)
    if transfer and renamed.columns:
        _require_transfer(renamed, found, setting)
    outside: Counter[str] = Counter()

    def take(row: Row, where: str) -> None:
        problem = row if isinstance(row, Problem) else _problem(row, renamed, found.source)
        if transfer and not _is_drawn(row):
            problem = _with_transfer(problem, renamed)
        if reason := _outside_band(problem, entry, setting, where):
            outside[reason] += 1
            return
        _cell(problem.answer, "answer", renamed, refuse_unreachable)
        kept.add(problem, where)

    for where, row in found.rows:
        sieve(partial(take, row, where), where)
    problems = kept.problems(sieve)
    if transfer:
        problems = paired(problems, seed)
    if kept.repetitions:
        outside["repetitions"] = kept.repetitions
    if outside:
        reasons = ", ".join(f"{count} {reason}" for reason, count in outside.items())
        _log.info("%s: %d problems used; left out: %s", found.label, len(problems), reasons)
    _say(found, renamed, sieve, len(problems), setting)
    return problems


def _renamer(
    entry: DatasetEntry, found: Rows, known: Sequence[str], required: Sequence[str], sieve: Sieve
) -> Columns:
    """From the source's names to ours; nothing to rename where there is no row with names.

    Raises ConfigError also where the first row is unreadable, unless such rows are left out: what
    names there are is then a guess.
    """
    where, first = found.rows[0]
    if isinstance(first, BadRow) and not sieve.drop:
        sieve.refuse(first, where)
    rows = [row for _, row in found.rows if isinstance(row, Mapping)]
    columns: dict[str, str] = {}
    if rows:
        columns = map_columns(
            entry.columns, rows, known, required, setting=sieve.setting, label=found.label
        )
    return Columns(columns)


def _say(found: Rows, renamed: Columns, sieve: Sieve, used: int, setting: str) -> None:
    """What is left out of a source.  Raises ConfigError where nothing is left."""
    renamed.say(found.label)
    if not used and sieve.dropped:
        raise ConfigError(f"{setting}: {found.label} has no usable row: {sieve.summary()}")
    if not used:
        raise ConfigError(f"{setting}.min_solve_rate: no problem of {found.label} is in the band")
    if sieve.dropped:
        _log.warning(
            "%s: %d of %d rows left out: %s",
            found.label, sieve.dropped.total(), len(found.rows), sieve.summary(),
        )  # fmt: skip


def _mapping(row: Row, renamed: Columns) -> dict[str, Any]:
    if isinstance(row, BadRow):
        raise row
    if isinstance(row, Problem):
        raise BadRow("of another kind", "a problem, not a row with columns", key="name_or_path")
    return renamed(row)


def _problem(row: Mapping[str, Any] | BadRow, renamed: Columns, source: str) -> Problem:
    values = _mapping(row, renamed)
    text = _cell(values.pop("problem"), "problem", renamed, _problem_text)
    name_of_answer = renamed.columns["answer"]
    answer, solution = _cell(
        values.pop("answer"), "answer", renamed, lambda v: read_reference(v, name_of_answer)
    )
    if solution:
        values.setdefault("solution", solution)
    name = values.pop("id", None)
    source = str(values.pop("source", None) or source)
    told = f"{text}\n{values['choices']}" if values.get("choices") else text
    digest = hashlib.sha256(f"{source}\n{told}".encode()).hexdigest()[:16]
    return Problem(
        id=digest if name is None else text_of(name),
        text=text,
        answer=answer,
        source=source,
        extra=values,
    )


def _require_transfer(renamed: Columns, found: Rows, setting: str) -> None:
    for name in TRANSFER_COLUMNS:
        if name not in renamed.columns:
            raise ConfigError(
                f"{setting}.columns.{name}: {found.label} has no such column, and "
                "generation.post_test asks for it (python -m src.make_variants writes it)"
            )


def _is_drawn(row: Row) -> bool:
    """Whether a problem was made on the spot, and another one of its kind can be."""
    return isinstance(row, Problem) and row.source.startswith(PROCEDURAL)


def _with_transfer(problem: Problem, renamed: Columns) -> Problem:
    """With its own columns' other problem.

    Raises BadRow: a marked one where the column is empty, which says that there is no variant.
    """
    values = dict(problem.extra)
    text, answer = (values.pop(name, None) for name in TRANSFER_COLUMNS)
    if not text_of(text):
        raise BadRow("without a transfer problem", "no transfer_problem", marked=True)
    other = _cell(text, "transfer_problem", renamed, _problem_text)
    named = renamed.columns.get("transfer_answer", "transfer_answer")
    reference, _ = _cell(answer, "transfer_answer", renamed, lambda v: read_reference(v, named))
    _cell(reference, "transfer_answer", renamed, refuse_unreachable)
    if other == problem.text:
        raise BadRow(
            "with itself as transfer problem", "the problem itself", key="columns.transfer_problem"
        )
    return replace(problem, extra=values).with_transfer(other, reference)


def _problem_text(value: Any) -> str:
    text = problem_text(value)
    if not text:
        raise BadRow("without a problem", "no problem")
    return text


def _cell(value: Any, ours: str, renamed: Columns, read: Callable[[Any], T]) -> T:
    """What `read` makes of a cell whose lost backslashes are put back; an error names it."""
    try:
        return read(repaired(value))
    except BadRow as error:
        theirs = renamed.columns.get(ours, ours)
        column = "" if theirs == ours else f"column {theirs!r}: "
        raise BadRow(
            error.reason, f"{column}{error}", key=f"columns.{ours}", marked=error.marked
        ) from None


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
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 <= rate <= 1:
        detail = f"{value!r} is not a rate between 0 and 1"
        raise BadRow("without a usable solve rate", detail, key="columns.solve_rate")
    inside = (low is None or rate >= low) and (high is None or rate <= high)
    return "" if inside else "outside the solve-rate band"
