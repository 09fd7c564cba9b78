"""Numbers that the paper's own code computed for invented inputs, from the folder beside this one.

    @pytest.mark.parametrize("case", oracle.cases("rewards"))
    def test_of_a_reward(case: oracle.Case) -> None: ...

Where the folder is absent, such a test is one skipped case that says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "oracle"
Case = dict[str, Any]  # id, name, inputs, expected; defects, by_the_paper and note where they apply


@cache
def _file(name: str) -> dict[str, Any] | None:
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def load(name: str) -> dict[str, Any]:
    """A whole file; skips the test where it is absent."""
    found = _file(name)
    if found is None:
        pytest.skip(f"no oracle here: {FOLDER / name}.json")
    return found


def cases(
    name: str, where: Callable[[Case], bool] = lambda case: True, key: str = "cases"
) -> list[Any]:
    """The cases of a file, one pytest parameter each, named by their ids."""
    found = _file(name)
    if found is None:
        skip = pytest.mark.skip(reason=f"no oracle here: {FOLDER / name}.json")
        return [pytest.param(None, id=name, marks=skip)]
    wanted = [case for case in found[key] if where(case)]
    assert wanted, f"{name}.json: no case is left"
    return [pytest.param(case, id=case.get("id") or case["name"]) for case in wanted]
