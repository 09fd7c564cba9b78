"""What an item of first contact found, and the file that all of them are written to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True, kw_only=True)
class Found:
    """`expected` and `found` by name, in units that the names end with; None passed: not run.

    `setting`: what to change in a config where it failed, or what the numbers suggest.
    """

    name: str
    what: str
    passed: bool | None = None
    expected: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    setting: str = ""
    reason: str = ""  # why it failed or was not run
    seconds: float = 0.0


def write(path: Path, about: dict[str, Any], items: list[Found]) -> None:
    """All of it, at once, so that a reader never meets half a file."""
    text = json.dumps({**about, "items": [asdict(item) for item in items]}, indent=1, default=str)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)


def read(path: Path) -> tuple[dict[str, Any], list[Found]]:
    """What `write` wrote."""
    about = json.loads(path.read_text(encoding="utf-8"))
    return about, [Found(**item) for item in about.pop("items")]
