"""What a process sets for itself before torch is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from utils.runs.process import short_barriers


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"WORLD_SIZE": "2"}, None)],
)
def test_barriers_are_short_in_the_one_process_of_a_run(given: Any, spins: str | None) -> None:
    environment = dict(given)
    short_barriers(environment)
    assert environment.get("GOMP_SPINCOUNT") == spins
