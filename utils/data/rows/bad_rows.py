"""Rows that cannot be used: errors that name file and row, or left out and counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from config.errors import ConfigError

T = TypeVar("T")
SETTING = "dataset.bad_rows"


class BadRow(ValueError):
    """A row that cannot be used: a reason to count by, and what exactly is wrong.

    `key` is the part of the dataset's entry that it is about, as in `columns.answer`.  A `marked`
    row says itself that it has nothing to offer (`proof` for an answer): always left out.
    """

    def __init__(self, reason: str, detail: str, *, key: str = "", marked: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.key = key
        self.marked = marked


@dataclass(slots=True)
class Sieve:
    """Lets good rows through; bad ones are errors, or counted by reason with one example each."""

    drop: bool
    setting: str
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def __call__(self, make: Callable[[], T], where: str) -> T | None:
        """`make()`, or None for a bad row that is left out.  Raises ConfigError."""
        try:
            return make()
        except BadRow as error:
            self.refuse(error, where)
            return None

    def refuse(self, error: BadRow, where: str) -> None:
        """Count a bad row.  Raises ConfigError where rows are not to be left out."""
        if not (self.drop or error.marked):
            key = f"{self.setting}.{error.key}" if error.key else self.setting
            raise ConfigError(
                f"{key}: {where}: {error} ({SETTING}=drop leaves such rows out)"
            ) from None
        self.dropped[error.reason] += 1
        self.examples.setdefault(error.reason, f"{where}: {error}")

    def summary(self) -> str:
        """`3 over-long (first: FILE:7: ...), 1 ...`; empty where nothing was left out."""
        return ", ".join(
            f"{count} {reason} (first: {self.examples[reason]})"
            for reason, count in self.dropped.most_common()
        )
