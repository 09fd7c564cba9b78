"""Rows from anywhere: a hub id, a local file or folder, a task of reasoning-gym, a function."""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.problems import Problem
from utils.data.procedural import PREFIX as PROCEDURAL
from utils.data.procedural import generate

SUFFIXES = (".jsonl", ".json", ".parquet", ".csv")
_ROOT = Path(__file__).resolve().parents[2]
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SLICE = re.compile(r"(?P<name>[\w.-]*)\[(?P<start>\d*%?):(?P<stop>\d*%?)\]")

Row = Mapping[str, Any] | Problem


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one source, and what an error calls one of them."""

    rows: list[Row]
    label: str
    source: str  # what a problem's own `source` is, where no column says; no machine's path
    first: int = 0  # index of the first row in the source
    step: str = ", row "  # between the label and a row's number (from 1)

    def where(self, index: int) -> str:
        return f"{self.label}{self.step}{self.first + index + 1}"

    @property
    def columns(self) -> list[str]:
        first = self.rows[0] if self.rows else {}
        return [] if isinstance(first, Problem) else list(first)


def load_rows(entry: DatasetEntry, *, setting: str, seed: int) -> Rows:
    """All rows of one entry's split, in the source's order.

    A split may end in a slice, as in `train[:90%]` or `train[500:]`.  Raises ConfigError that
    begins with `setting` where the source cannot be found or read, or has no row.
    """
    name = entry.name_or_path
    if name.startswith(PROCEDURAL):
        task = name.removeprefix(PROCEDURAL)
        generated = generate(task, entry.split, seed, entry.parameters, setting=setting)
        found = Rows(list(generated), f"{name} ({entry.split})", name)
    elif path := _local(name):
        found = _read_local(path, entry.split, setting)
    elif _FUNCTION.fullmatch(name):
        found = _call(name, entry, seed, setting)
    elif name.endswith(SUFFIXES) or name.startswith((".", "/", "~")):
        raise ConfigError(f"{setting}.name_or_path: no such file: {name}")
    else:
        found = _read_hub(entry, setting)
    if not found.rows:
        raise ConfigError(f"{setting}.split: {found.label} has no rows")
    return found


def _local(name: str) -> Path | None:
    """The file or folder of that name, from the working folder or else from the project."""
    for base in (Path.cwd(), _ROOT):
        path = base / Path(name).expanduser()
        if path.is_file() or (path.is_dir() and any(f.suffix in SUFFIXES for f in path.iterdir())):
            return path
    return None


def _read_local(path: Path, split: str, setting: str) -> Rows:
    """A file is one split, whatever it is called; in a folder, a split is a file's name."""
    wanted = _SLICE.fullmatch(split)
    if path.is_dir():
        stem = wanted["name"] if wanted else split
        files = [path / f"{stem}{s}" for s in SUFFIXES if (path / f"{stem}{s}").is_file()]
        if not files:
            there = ", ".join(sorted(f.name for f in path.iterdir() if f.suffix in SUFFIXES))
            raise ConfigError(f"{setting}.split: {path} has no {stem!r}; it has {there}")
        path = files[0]
    if path.suffix not in _READERS:
        raise ConfigError(f"{setting}.name_or_path: {path} is none of {', '.join(SUFFIXES)}")
    try:
        rows = _READERS[path.suffix](path)
    except ValueError as error:
        raise ConfigError(f"{setting}.name_or_path: {error}") from None
    step = ":" if path.suffix == ".jsonl" else ", row "
    start, stop = _bounds(wanted, len(rows)) if wanted else (0, len(rows))
    return Rows(rows[start:stop], str(path), path.name, start, step)


def _bounds(wanted: re.Match[str], count: int) -> tuple[int, int]:
    def place(text: str, default: int) -> int:
        if not text:
            return default
        return count * int(text[:-1]) // 100 if text.endswith("%") else int(text)

    return place(wanted["start"], 0), place(wanted["stop"], count)


def _read_jsonl(path: Path) -> list[Row]:
    rows: list[Row] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: not JSON: {error}") from None
            rows.append(_object(row, f"{path}:{number}"))
    return rows


def _read_json(path: Path) -> list[Row]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if (
        isinstance(content, dict)
        and len(lists := [v for v in content.values() if _is_rows(v)]) == 1
    ):
        content = lists[0]
    if not isinstance(content, list):
        raise ValueError(f"{path}: not a list of rows")
    return [_object(row, f"{path}, row {number}") for number, row in enumerate(content, 1)]


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _object(row: object, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: not an object, but {type(row).__name__}")
    return row


def _read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _read_parquet(path: Path) -> list[Row]:
    from pyarrow import parquet

    return list(parquet.read_table(path).to_pylist())


_READERS = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def _call(name: str, entry: DatasetEntry, seed: int, setting: str) -> Rows:
    """A function's rows: `module:function(split, seed, **parameters)`."""
    module, _, function = name.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(f"{setting}.name_or_path: {name}: {error}") from None
    try:
        rows = list(make(entry.split, seed, **entry.parameters))
    except ConfigError as error:  # about the split or a parameter
        raise ConfigError(f"{setting}.{error}") from None
    except TypeError as error:
        if function not in str(error):  # not about this call's arguments
            raise
        raise ConfigError(f"{setting}.parameters: {error}") from None
    return Rows(rows, f"{name} ({entry.split})", name)


def _read_hub(entry: DatasetEntry, setting: str) -> Rows:
    """A dataset of the hub; `parameters` go to `load_dataset` (as `name` or `revision`)."""
    import datasets

    try:
        table = datasets.load_dataset(entry.name_or_path, split=entry.split, **entry.parameters)
    except (OSError, ValueError, RuntimeError) as error:  # not found, offline, unknown split
        reason = str(error).strip().splitlines()[0]
        where = "split" if "split" in reason else "name_or_path"
        raise ConfigError(f"{setting}.{where}: {entry.name_or_path}: {reason}") from None
    return Rows(list(table), f"{entry.name_or_path} ({entry.split})", entry.name_or_path)
