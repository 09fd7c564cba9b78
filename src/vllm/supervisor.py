"""The small process above each server: it ends the whole process group when its parent is gone.

    python -m src.vllm.supervisor PARENT_PID GRACE_SECONDS [PATH_TO_REMOVE]... -- COMMAND...

A parent that is killed outright cannot clean up, and vLLM's engine processes outlive their API
server.  This process leads their process group, waits for whichever ends first, the server or the
parent, and leaves nothing: no process of the group, no shared memory of theirs and, if it was the
parent, none of the paths.  On a CPU it is forked itself (src/vllm/fork_server.py); then the owner
of the engines is not its parent, and is watched all the same.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from src.vllm.shared_memory import held_by, remove

REPOSITORY = Path(__file__).resolve().parents[2]
NOTE_S = 2.0  # how often shared memory is looked at, in case the server is killed outright


class Server(Protocol):
    """What is supervised: a child of this process, `subprocess.Popen` or a forked one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, -n for signal n; None while it runs."""
        ...

    def kill(self) -> None: ...


class Supervisor:
    """Watches one server until it ends, is told to, or the owner of the engines is gone.

    To be made before the server: until then a SIGTERM to the group would end this process alone.
    `owner`: a file descriptor of its pid; None where it is gone already.
    """

    def __init__(self, owner: int | None, grace_s: float) -> None:
        self.owner, self.grace_s = owner, grace_s
        self.told_at: float | None = None  # when the group was asked to end
        # SIGTERM goes to the whole group: the server ends itself, we follow when it has
        signal.signal(signal.SIGTERM, self._told)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.shared: set[Path] = set()

    def _told(self, *_: object) -> None:
        self.told_at = self.told_at or time.monotonic()

    @property
    def orphaned(self) -> bool:
        return self.owner is None or bool(select.select([self.owner], [], [], 0)[0])

    def run(self, child: Server) -> int:
        """The server's exit code, in the shell's manner."""
        server = os.pidfd_open(child.pid)
        watched = [server] if self.owner is None else [server, self.owner]
        noted = 0.0
        while (code := child.poll()) is None:
            if time.monotonic() - noted > NOTE_S:
                self.shared |= held_by(group_members())
                noted = time.monotonic()
            select.select(watched, [], [], 0.5)
            if self.orphaned:
                watched = [server]  # a dead parent's would never let us wait again
                if self.told_at is None:
                    self.shared |= held_by(group_members())
                    os.killpg(0, signal.SIGTERM)
                    self._told()
            if self.told_at is not None and time.monotonic() - self.told_at > self.grace_s:
                child.kill()
        return code if code >= 0 else 128 - code

    def clear_up(self, paths: Sequence[str]) -> None:
        """After `run`: nothing of the group is left, nor of `paths` where the owner is gone."""
        if self.orphaned:
            for path in paths:
                shutil.rmtree(path, ignore_errors=True)
        held = self.shared | end_group()
        deadline = time.monotonic() + self.grace_s
        while any(map(is_running, group_members())) and time.monotonic() < deadline:
            time.sleep(0.02)  # until then what they have mapped is in use
        remove(held)


def watch(pid: int) -> int | None:
    """A file descriptor that can be read once this process is gone; None where it is."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    grace_s: float,
    paths: Sequence[str],
) -> subprocess.Popen[bytes]:
    """A server of its own interpreter under a supervisor, which watches this process."""
    supervisor = [sys.executable, "-m", "src.vllm.supervisor", str(os.getpid()), str(grace_s)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*supervisor, *paths, "--", *command],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def group_members() -> Iterator[int]:
    """The other processes of our process group."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if os.getpgid(int(entry.name)) == os.getpgrp():
                yield int(entry.name)
        except (ProcessLookupError, PermissionError):
            continue


def end_group() -> set[Path]:
    """SIGKILL whatever else is left in our process group; the shared memory it held."""
    held: set[Path] = set()
    for pid in group_members():
        held |= held_by([pid])
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    return held


def main(arguments: list[str]) -> int:
    at = arguments.index("--")
    parent, grace_s, *paths = arguments[:at]
    owner = watch(int(parent))
    if os.getppid() != int(parent):  # it went before it could be watched
        owner = None
    supervisor = Supervisor(owner, float(grace_s))
    code = supervisor.run(subprocess.Popen(arguments[at + 1 :]))
    supervisor.clear_up(paths)
    return code


def is_running(pid: int) -> bool:
    """Not gone, and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
