"""Locks of operators that a killed process was compiling."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from src.stale_builds import OLD_S, drop_stale_locks, nothing_built

TORCH = find_spec("torch")
HOLD = """
import sys, time, importlib.util
spec = importlib.util.spec_from_file_location("file_baton", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.FileBaton(sys.argv[2]).try_acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["py311_cpu/deepspeed_shm_comm", "deepspeed_shm_comm"])
def lock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    folder = tmp_path / request.param
    folder.mkdir(parents=True)
    return folder / "lock"


@pytest.fixture
def builder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds torch's own lock."""
    assert TORCH is not None and TORCH.submodule_search_locations
    baton = Path(TORCH.submodule_search_locations[0]) / "utils" / "file_baton.py"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(baton), str(lock)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_lock_goes_when_its_holder_was_killed(lock: Path, builder: subprocess.Popen[str]) -> None:
    assert drop_stale_locks() == [] and lock.exists()
    builder.kill()
    builder.wait()
    assert drop_stale_locks() == [lock] and not lock.exists()


def test_in_a_shared_folder_it_must_be_old_too(lock: Path) -> None:
    lock.touch()
    assert drop_stale_locks(shared=True) == []
    os.utime(lock, (time.time() - OLD_S - 1,) * 2)
    assert drop_stale_locks(shared=True) == [lock]


def test_without_the_folder_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/nowhere")
    assert drop_stale_locks() == []


def test_what_is_built_is_seen(lock: Path) -> None:
    assert nothing_built()
    lock.with_name("deepspeed_shm_comm.so").touch()
    build = lock.with_name("build.ninja")
    build.write_text("cflags = -isystem /elsewhere/.venv/lib/torch/include\n")
    assert nothing_built()  # of another environment: torch builds again
    build.write_text(f"cflags = -isystem {sys.prefix}/lib/torch/include\n")
    assert not nothing_built()
