"""What a process sets for itself before and while torch is loaded."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from utils.runs.process import quick_imports, short_barriers


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"WORLD_SIZE": "2"}, None)],
)
def test_barriers_are_short_in_the_one_process_of_a_run(given: Any, spins: str | None) -> None:
    environment = dict(given)
    short_barriers(environment)
    assert environment.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_rests_while_modules_are_imported_whatever_comes_of_it(was_on: bool) -> None:
    gc.unfreeze()
    if not was_on:
        gc.disable()
    try:
        with pytest.raises(ModuleNotFoundError), quick_imports():
            assert not gc.isenabled()
            raise ModuleNotFoundError
        assert gc.isenabled() is was_on
        assert gc.get_freeze_count() > 10_000  # what is there is not gone through again
    finally:
        gc.enable()
