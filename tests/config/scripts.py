"""The settings of each script, by its folder of configs, and notes that each test hears anew."""

from __future__ import annotations

from typing import Any

import pytest

from config import notes
from config.reference import SCRIPTS

SCHEMAS: dict[str, type[Any]] = {
    script.removesuffix(".py"): schema for script, schema in SCRIPTS.items()
}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once a process has not been said yet."""
    notes._said.clear()
    monkeypatch.delenv(notes.QUIET, raising=False)
