"""What a process sets for itself before torch is loaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from utils.runs import process
from utils.runs.process import return_large_blocks, short_barriers


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"WORLD_SIZE": "2"}, None)],
)
def test_barriers_are_short_in_the_one_process_of_a_run(given: Any, spins: str | None) -> None:
    environment = dict(given)
    short_barriers(environment)
    assert environment.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize(
    ("given", "called"),
    [({}, 1), ({"MALLOC_MMAP_THRESHOLD_": "1"}, 0), ({"GLIBC_TUNABLES": "x"}, 0)],
)
def test_malloc_is_left_to_who_tunes_it(
    given: dict[str, str], called: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, value: int) -> int:
            calls.append((option, value))
            return 1

    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: Library())
    return_large_blocks(given)
    assert calls == [(-3, 2**20)] * called


def test_a_library_without_the_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())
    return_large_blocks({})


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_glibc_takes_it() -> None:
    call = f"mallopt({process.MMAP_THRESHOLD}, {process.LARGE})"
    code = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).{call})"  # 1: taken
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
