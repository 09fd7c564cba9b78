"""Outlives the launcher by a moment: if that is killed outright, ends whatever it had started.

    python -m src.launch.reaper TOKEN GRACE_SECONDS

Everything a job starts carries the job's token in its environment; nothing is found by name.  The
launcher writes the pid of the training to our standard input, and `done` when all is over; an end
of input without it means that the launcher is gone.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from pathlib import Path

import psutil

from src.vllm.shared_memory import held_by, remove

JOB = "TUTOR_RL_JOB"
ENGINES_S = 20.0


def members(token: str) -> list[psutil.Process]:
    """Living processes whose job token begins with this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(JOB, "").startswith(token):
                found.append(process)
    return found


def kill_members(token: str) -> None:
    """SIGKILL all of them, until none is left that could start another; their shared memory goes
    with them."""
    held: set[Path] = set()
    for _ in range(50):
        if not (alive := members(token)):
            break
        held |= held_by(process.pid for process in alive)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=0.2)
    remove(held)


def end_training(process: psutil.Process, token: str, grace_s: float) -> None:
    """SIGTERM to the training, time to write a checkpoint, then SIGKILL to all that is left."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process.terminate()
        process.wait(grace_s)
    kill_members(token)


def main(arguments: list[str]) -> int:
    token, grace_s = arguments[0], float(arguments[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    training: psutil.Process | None = None
    for line in sys.stdin:
        if line.strip() == "done":
            return 0
        with contextlib.suppress(psutil.NoSuchProcess):
            training = psutil.Process(int(line))
    if training is not None:
        end_training(training, f"{token}-training", grace_s)
    # engines end themselves when their parent is gone, and remove their sockets and weights
    for process in members(token):
        with contextlib.suppress(psutil.Error):
            process.resume()  # who was stopped could not
    deadline = time.monotonic() + ENGINES_S
    while members(token) and time.monotonic() < deadline:
        time.sleep(0.2)
    kill_members(token)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
