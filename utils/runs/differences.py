"""Where two nested settings differ, key by key."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`key: old -> new` for every leaf that differs."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{key}: {_shown(before, key)} -> {_shown(after, key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, "(none)") != after.get(key, "(none)")
    ]


def with_defaults(old: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
    """Settings saved before a setting existed: each had its default.

    `defaults` is a settings object; names that users choose (rules, personas) are no settings.
    """
    whole = dict(old)
    kinds = typing.get_type_hints(type(defaults))
    for field in dataclasses.fields(defaults):
        value, kept = getattr(defaults, field.name), old.get(field.name)
        entry = next(iter(typing.get_args(kinds[field.name])), None)
        if dataclasses.is_dataclass(value):
            whole[field.name] = with_defaults(kept or {}, value)
        elif isinstance(kept, list) and isinstance(entry, type) and dataclasses.is_dataclass(entry):
            whole[field.name] = [with_defaults(each, entry()) for each in kept]
        else:
            whole.setdefault(field.name, value)
    return whole


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    return json.dumps(leaves[key]) if key in leaves else "(none)"


def _leaves(data: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, list) and any(isinstance(entry, Mapping) for entry in data):
        data = dict(enumerate(data))
    if not isinstance(data, Mapping):
        yield prefix.rstrip("."), data
        return
    for key, value in data.items():
        yield from _leaves(value, f"{prefix}{key}.")
