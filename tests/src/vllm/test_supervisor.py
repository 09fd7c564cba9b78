"""The supervisor, with real processes and real SIGKILL: nothing outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
# a server that ignores politeness and has a child which does too
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
open(sys.argv[1] + ("/child" if child == 0 else "/server"), "w").write(str(os.getpid()))
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-m", "src.vllm.supervisor", str(os.getpid()), "0.5", *sys.argv[2:3],
           "--", sys.executable, "-c", sys.argv[1], sys.argv[3]]
supervisor = subprocess.Popen(command, start_new_session=True)
open(sys.argv[3] + "/supervisor", "w").write(str(supervisor.pid))
time.sleep(600)
"""


def until(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_parent_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, STUBBORN, str(sockets), str(tmp_path)], cwd=ROOT
    )
    names = ("supervisor", "server", "child")
    written = [tmp_path / name for name in names]
    assert until(lambda: all(p.exists() and p.read_text() for p in written))
    pids = [int(p.read_text()) for p in written]
    assert len({os.getpgid(pid) for pid in pids}) == 1
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert until(lambda: all(map(gone, pids)))
    assert not sockets.exists()


@pytest.mark.parametrize(("command", "code"), [("raise SystemExit(3)", 3), (STUBBORN, 137)])
def test_exit_codes_and_the_insisting_stop(tmp_path: Path, command: str, code: int) -> None:
    options = [str(os.getpid()), "0.2", str(tmp_path / "x"), "--"]
    supervise = [sys.executable, "-m", "src.vllm.supervisor", *options]
    supervisor = subprocess.Popen(
        [*supervise, sys.executable, "-c", command, str(tmp_path)],
        cwd=ROOT,
        start_new_session=True,
    )
    (tmp_path / "x").mkdir()
    if code == 137:
        assert until((tmp_path / "child").exists)
        os.killpg(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(timeout=20) == code
    if code == 137:
        assert until(lambda: gone(int((tmp_path / "child").read_text())))
    assert (tmp_path / "x").exists()  # the parent lives, and cleans up itself


# shared memory and a semaphore as vLLM's workers make them, and a tracker that would remove them
SHARING = """
import os, sys, time
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
memory, lock = SharedMemory(create=True, size=4096), get_context("spawn").Lock()
with open(sys.argv[1] + "/draft", "w") as file:
    file.write(f"{memory.name} sem.{lock._semlock.name.lstrip('/')} {os.getpid()}")
os.rename(sys.argv[1] + "/draft", sys.argv[1] + "/server")
time.sleep(600)
"""


@pytest.mark.parametrize("killed", ["parent", "server"])
def test_shared_memory_of_the_killed_is_removed(tmp_path: Path, killed: str) -> None:
    """The parent is killed, or everything below the supervisor at once."""
    neighbour = SharedMemory(create=True, size=4096)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, SHARING, str(tmp_path / "none"), str(tmp_path)], cwd=ROOT
    )
    try:
        assert until((tmp_path / "server").exists) and until((tmp_path / "supervisor").exists)
        *names, pid = (tmp_path / "server").read_text().split()
        files = [Path("/dev/shm", name) for name in names]
        assert all(file.exists() for file in files)
        supervisor = int((tmp_path / "supervisor").read_text())
        if killed == "parent":
            parent.kill()
        else:
            time.sleep(3.0)  # it is noted every two seconds
            below = psutil.Process(supervisor).children(recursive=True)
            assert int(pid) in [process.pid for process in below] and len(below) == 2
            for process in sorted(below, key=lambda process: process.pid == int(pid)):
                process.kill()  # the tracker first
        assert until(lambda: gone(supervisor))
        assert not [file for file in files if file.exists()]
        assert Path("/dev/shm", neighbour.name).exists()
    finally:
        parent.kill()
        parent.wait()
        neighbour.close()
        neighbour.unlink()
