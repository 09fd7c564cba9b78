"""Folders to rows: files named by split, the hub's own layout, shards, `save_to_disk`.

Which files make a split (a README's `configs`, `data/train-00000-of-00002.parquet`, ...) is what
the datasets library says of the folder; reading them is ours, so an error names file and row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.data.files import SUFFIXES, Placed, read_file, suffix_of

_SAVED, _SAVED_SPLITS = "state.json", "dataset_dict.json"
_MISSING = re.compile(r"Config name is missing|BuilderConfig '(?P<name>.*)' not found")
_LISTED = re.compile(r"\[(.*?)\]", re.DOTALL)


class NoSuchSplit(ValueError):
    """The folder has other splits."""


class NoSuchConfig(ValueError):
    """The set has several configurations, and none or another one is named."""


def holds_data(folder: Path) -> bool:
    """Whether any file in the folder, or below it, could be read as rows."""
    return any(suffix_of(path) is not None for path in folder.rglob("*") if path.is_file())


def read_folder(
    folder: Path, split: str, parameters: Mapping[str, Any]
) -> tuple[list[Placed], str]:
    """(rows of a split, the name of what holds them).  Raises ValueError."""
    if (folder / _SAVED_SPLITS).is_file() or (folder / _SAVED).is_file():
        return _read_saved(folder, split), folder.name
    for name in (f"{split}{suffix}{end}" for suffix in SUFFIXES for end in ("", ".gz")):
        if (folder / name).is_file() and suffix_of(folder / name):
            return read_file(folder / name), name
    splits = _splits(folder, parameters)
    if split not in splits:
        raise NoSuchSplit(f"{folder} has no {split!r}; it has {', '.join(splits)}")
    return [row for path in splits[split] for row in read_file(path)], folder.name


def _splits(folder: Path, parameters: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Split -> its files in order."""
    import datasets

    try:
        builder = datasets.load_dataset_builder(str(folder), **parameters)
    except (OSError, ValueError, TypeError) as error:
        reason = no_such_config(error, folder) or ValueError(_first_line(error))
        raise reason from None
    files = builder.config.data_files or {}
    return {str(split): [Path(str(f)) for f in found] for split, found in files.items()}


def no_such_config(error: Exception, name: object) -> NoSuchConfig | None:
    """What datasets says of a configuration, in one line with those there are and the setting."""
    found = _MISSING.match(str(error))
    if not found:
        return None
    listed = _LISTED.search(str(error))
    there = listed[1].replace("'", "") if listed else "several"
    which = (
        f"no configuration {found['name']!r}" if found["name"] else "more than one configuration"
    )
    first = there.split(", ")[0]
    return NoSuchConfig(
        f"{name} has {which}; it has {there}: say which, as `parameters: {{name: {first}}}`"
    )


def _read_saved(folder: Path, split: str) -> list[Placed]:
    import datasets

    try:
        saved = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: {_first_line(error)}") from None
    if isinstance(saved, datasets.DatasetDict):
        if split not in saved:
            raise NoSuchSplit(f"{folder} has no {split!r}; it has {', '.join(saved)}")
        saved = saved[split]
    return placed(table_rows(saved), str(folder))


def table_rows(table: Any) -> list[Mapping[str, Any]]:
    """Rows of a datasets.Dataset as they are stored: images and sounds are not decoded."""
    return [row for batch in table.with_format("arrow").iter(1000) for row in _mappings(batch)]


def _mappings(batch: Any) -> list[Mapping[str, Any]]:
    return list(batch.to_pylist(maps_as_pydicts="lossy"))


def placed(rows: list[Mapping[str, Any]], label: str) -> list[Placed]:
    return [(f"{label}, row {number}", row) for number, row in enumerate(rows, 1)]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
