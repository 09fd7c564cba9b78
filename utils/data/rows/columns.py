"""Which column of a source is which of ours; a dot names a field inside a column.

`reward_model.ground_truth` is the field `ground_truth` of the column `reward_model`, also where the
column holds JSON text; `answers.0` is the first entry of a list.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from config.errors import ConfigError
from utils.data.rows.bad_rows import BadRow
from utils.data.rows.cells import NotData, decoded, plain, structured

_PLAIN_NAME = re.compile(r"[\w.-]+")
_SHOWN = 40  # names that an error lists
_log = logging.getLogger(__name__)


def lookup(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column or of a field inside it; None where the row has none."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if isinstance(value, str):
            value = structured(value.strip())
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value):
            value = [entry.get(part) for entry in value]
        else:
            return None
    return value


def map_columns(
    given: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    known: Sequence[str],
    required: Sequence[str],
    *,
    setting: str,
    label: str,
) -> dict[str, str]:
    """Our name -> the column's, for every column of ours that the source has.

    Raises ConfigError where `given` names what is not there, or a required one is missing.
    """
    there = list(dict.fromkeys(name for row in rows for name in row))
    for ours, theirs in given.items():
        if ours not in known:
            raise ConfigError(f"{setting}.columns.{ours}: is none of {', '.join(known)}")
        if theirs not in there and all(lookup(row, theirs) is None for row in rows):
            raise ConfigError(
                f"{setting}.columns.{ours}: {label} has no column {theirs!r}; "
                f"it has {_names(rows, there)}"
            )
    columns = {ours: given.get(ours, ours) for ours in known}
    columns = {o: theirs for o, theirs in columns.items() if o in given or theirs in there}
    for ours in required:
        if ours not in columns:
            raise ConfigError(
                f"{setting}.columns.{ours}: {label} has no column {ours!r}; name the one that "
                f"holds it ({_names(rows, there)}), as `columns: {{{ours}: NAME}}`"
            )
    return columns


def _names(rows: Sequence[Mapping[str, Any]], there: Sequence[str]) -> str:
    """What a column can be called, fields inside the first row's columns too."""
    names: list[str] = []
    for name in there:
        value = rows[0].get(name)
        inner = list(value) if isinstance(value, Mapping) else []
        names += [f"{name}.{field}" for field in inner] or [name]
    shown = [name if _PLAIN_NAME.fullmatch(name) else repr(name) for name in names[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")


class Columns:
    """Renames a source's columns to ours; leaves out what JSON cannot hold, and says so once."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = columns
        self.left_out: dict[str, str] = {}  # column -> kind of its first value that was left out

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with our names.  Raises BadRow where one of ours holds bytes or an image."""
        values: dict[str, Any] = {}
        theirs = set(self.columns.values())
        for name, value in row.items():
            if name not in theirs:
                try:
                    values[name] = plain(value)
                except NotData as kind:
                    self.left_out.setdefault(name, str(kind))
        for ours, name in self.columns.items():
            try:
                values[ours] = plain(decoded(lookup(row, name)))
            except NotData as kind:
                key = f"columns.{ours}"
                raise BadRow("with no text", f"column {name!r}: {kind}, no text", key=key) from None
        return values

    def say(self, label: str) -> None:
        """One line about the columns that are left out."""
        if self.left_out:
            named = ", ".join(f"{name} ({kind})" for name, kind in self.left_out.items())
            _log.warning("%s: columns that JSON cannot hold are left out: %s", label, named)
