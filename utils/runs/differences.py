"""Where two nested settings differ, key by key."""

from __future__ import annotations

import json
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
