"""Rows from anywhere: a hub id, a local file or folder, a task of reasoning-gym, a function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.functions import load_function
from config.schema import DatasetEntry
from utils.data.files import SUFFIXES, UNREADABLE, read_file, suffix_of
from utils.data.folders import (
    NoSuchConfig,
    NoSuchSplit,
    holds_data,
    no_such_config,
    read_folder,
    table_rows,
)
from utils.data.problems import Problem
from utils.data.procedural import PREFIX as PROCEDURAL
from utils.data.procedural import generate
from utils.data.rows.bad_rows import BadRow

_ROOT = Path(__file__).resolve().parents[2]
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SLICE = re.compile(r"(?P<name>[\w.-]*)\[(?P<start>\d*%?):(?P<stop>\d*%?)\]")

Row = Mapping[str, Any] | Problem | BadRow


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one source, each with where it stands, as an error says it."""

    rows: list[tuple[str, Row]]
    label: str
    source: str  # what a problem's own `source` is, where no column says; no machine's path


def load_rows(entry: DatasetEntry, *, setting: str, seed: int) -> Rows:
    """All rows of one entry's split, in the source's order.

    A split may end in a slice, as in `train[:90%]` or `train[500:]`.  Raises ConfigError that
    begins with `setting` where the source cannot be found or read, or has no row.
    """
    name = entry.name_or_path
    if name.startswith(PROCEDURAL):
        task = name.removeprefix(PROCEDURAL)
        generated = generate(task, entry.split, seed, entry.parameters, setting=setting)
        found = _numbered(list(generated), f"{name} ({entry.split})", name)
    elif path := _local(name):
        found = _read_local(path, entry, setting)
    elif _FUNCTION.fullmatch(name):
        found = _call(name, entry, seed, setting)
    elif suffix_of(Path(name)) or name.startswith((".", "/", "~")):
        raise ConfigError(f"{setting}.name_or_path: {_not_there(name)}")
    else:
        found = _read_hub(entry, setting)
    if not found.rows:
        raise ConfigError(f"{setting}.split: {found.label} has no rows")
    return found


def _numbered(rows: list[Any], label: str, source: str) -> Rows:
    return Rows([(f"{label}, row {n}", _row(row)) for n, row in enumerate(rows, 1)], label, source)


def _row(row: Any) -> Row:
    if isinstance(row, Mapping | Problem):
        return row
    detail = f"not a mapping of columns, but {type(row).__name__}"
    return BadRow(UNREADABLE, detail, key="name_or_path")


def _local(name: str) -> Path | None:
    """The file or folder of that name, from the working folder or else from the project."""
    for base in (Path.cwd(), _ROOT):
        path = base / Path(name).expanduser()
        if path.is_file() or (path.is_dir() and holds_data(path)):
            return path
    return None


def _not_there(name: str) -> str:
    if not Path(name).expanduser().is_dir():
        return f"no such file: {name}"
    return f"{name} holds no data: a folder has files of its splits ({', '.join(SUFFIXES)})"


def _read_local(path: Path, entry: DatasetEntry, setting: str) -> Rows:
    """A file is one split, whatever it is called."""
    wanted = _SLICE.fullmatch(entry.split)
    try:
        if path.is_dir():
            split = wanted["name"] if wanted else entry.split
            rows, source = read_folder(path, split, entry.parameters)
        else:
            rows, source = read_file(path), path.name
    except NoSuchSplit as error:
        raise ConfigError(f"{setting}.split: {error}") from None
    except NoSuchConfig as error:
        raise ConfigError(f"{setting}.parameters.name: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{setting}.name_or_path: {error}") from None
    start, stop = _bounds(wanted, len(rows)) if wanted else (0, len(rows))
    return Rows(list(rows[start:stop]), str(path), source)


def _bounds(wanted: re.Match[str], count: int) -> tuple[int, int]:
    def place(text: str, default: int) -> int:
        if not text:
            return default
        return count * int(text[:-1]) // 100 if text.endswith("%") else int(text)

    return place(wanted["start"], 0), place(wanted["stop"], count)


def _call(name: str, entry: DatasetEntry, seed: int, setting: str) -> Rows:
    """A function's rows: `module:function(split, seed, **parameters)`."""
    make = load_function(name, f"{setting}.name_or_path")
    try:
        rows = list(make(entry.split, seed, **entry.parameters))
    except ConfigError as error:  # about the split or a parameter
        raise ConfigError(f"{setting}.{error}") from None
    except TypeError as error:
        if getattr(make, "__name__", name) not in str(error):  # not about this call's arguments
            raise
        raise ConfigError(f"{setting}.parameters: {error}") from None
    return _numbered(rows, f"{name} ({entry.split})", name)


def _read_hub(entry: DatasetEntry, setting: str) -> Rows:
    """A dataset of the hub; `parameters` go to `load_dataset` (as `name` or `revision`)."""
    import datasets

    name = entry.name_or_path
    try:
        table = datasets.load_dataset(name, split=entry.split, **entry.parameters)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if wrong := no_such_config(error, name):
            raise ConfigError(f"{setting}.parameters.name: {wrong}") from None
        reason = _reason(error)
        where = "split" if "split" in reason else "name_or_path"
        raise ConfigError(f"{setting}.{where}: {name}: {reason}") from None
    return _numbered(list(table_rows(table)), f"{name} ({entry.split})", name)


def _reason(error: Exception) -> str:
    """The first line of an error, and of what it came from."""
    causes = [error, *([error.__cause__] if error.__cause__ else [])]
    return "; ".join(str(cause).strip().splitlines()[0] for cause in causes if str(cause).strip())
