"""What a single setting may be: said in its type in the schema, and checked here."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from config.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Range:
    """A condition on a value, and its words after "must be"."""

    text: str
    holds: Callable[[Any], bool]

    def refusal(self, value: Any) -> str:
        return f"must be {self.text}, got {value}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The names that a value may be; None among them is YAML's null."""

    names: tuple[str | None, ...]

    @property
    def text(self) -> str:
        return ", ".join(name or "null" for name in self.names)

    def holds(self, value: Any) -> bool:
        return value in self.names

    def refusal(self, value: Any) -> str:
        return f"{value!r} is not one of {self.text}"


Limit = Range | OneOf

AtLeast1 = Annotated[int, Range("at least 1", lambda v: v >= 1)]
AtLeast0 = Annotated[int, Range("at least 0", lambda v: v >= 0)]
CountOrAll = Annotated[int, Range("at least 1, or -1 for no limit", lambda v: v == -1 or v >= 1)]
Positive = Annotated[float, Range("greater than 0", lambda v: v > 0)]
NotNegative = Annotated[float, Range("at least 0", lambda v: v >= 0)]
Share = Annotated[float, Range("between 0 and 1", lambda v: 0 <= v <= 1)]
Part = Annotated[float, Range("greater than 0, at most 1", lambda v: 0 < v <= 1)]
Finite = Annotated[float, Range("a finite number", math.isfinite)]
FiniteNotNegative = Annotated[
    float, Range("a finite number, at least 0", lambda v: 0 <= v < math.inf)
]


def limits_of(kind: Any) -> Iterator[Limit]:
    """The limits in an annotation; of `X | None`, those of X."""
    if typing.get_origin(kind) is Annotated:
        yield from (part for part in kind.__metadata__ if isinstance(part, Range | OneOf))
    elif type(None) in (parts := typing.get_args(kind)):
        yield from (limit for part in parts for limit in limits_of(part))


def check_limits(settings: Any, prefix: str = "") -> None:
    """Raises ConfigError for the first value, however deep, that its own limits refuse."""
    kinds = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        _check(getattr(settings, field.name), kinds[field.name], prefix + field.name)


def _check(value: Any, kind: Any, key: str) -> None:
    for limit in limits_of(kind):
        allowed = value is None and isinstance(limit, Range)  # `X | None`, by its type
        if not allowed and not limit.holds(value):
            raise ConfigError(f"{key}: {limit.refusal(value)}")
    inner = typing.get_args(kind) or (Any, Any)
    if dataclasses.is_dataclass(value):
        check_limits(value, f"{key}.")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, inner[0], f"{key}[{number}]" if dataclasses.is_dataclass(item) else key)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check(item, inner[1], f"{key}.{name}")
