"""The small process above each server: it ends the whole process group when its parent is gone.

    python -m src.vllm.supervisor PARENT_PID GRACE_SECONDS [PATH_TO_REMOVE]... -- COMMAND...

A parent that is killed outright cannot clean up, and vLLM's engine processes outlive their API
server.  This process leads their process group, waits for whichever ends first, the server or the
parent, and leaves nothing: no process of the group, no shared memory of theirs and, if it was the
parent, none of the paths.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from src.vllm.shared_memory import held_by, remove

NOTE_S = 2.0  # how often shared memory is looked at, in case the server is killed outright


class Supervisor:
    """Runs one command until it ends, is told to, or its parent is gone."""

    def __init__(self, command: list[str], parent: int, grace_s: float) -> None:
        self.parent, self.grace_s = parent, grace_s
        self.told_at: float | None = None  # when the group was asked to end
        # SIGTERM goes to the whole group: the server ends itself, we follow when it has
        signal.signal(signal.SIGTERM, self._told)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.shared: set[Path] = set()
        self.child = subprocess.Popen(command)

    def _told(self, *_: object) -> None:
        self.told_at = self.told_at or time.monotonic()

    @property
    def orphaned(self) -> bool:
        return os.getppid() != self.parent

    def run(self) -> int:
        """The command's exit code, in the shell's manner."""
        server = os.pidfd_open(self.child.pid)
        watched = [server, *self._parent_watch()]
        noted = 0.0
        while (code := self.child.poll()) is None:
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
                self.child.kill()
        return code if code >= 0 else 128 - code

    def _parent_watch(self) -> list[int]:
        try:
            return [os.pidfd_open(self.parent)]
        except ProcessLookupError:
            return []


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
    supervisor = Supervisor(arguments[at + 1 :], int(parent), float(grace_s))
    code = supervisor.run()
    if supervisor.orphaned:
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)
    held = supervisor.shared | end_group()
    deadline = time.monotonic() + supervisor.grace_s
    while any(map(is_running, group_members())) and time.monotonic() < deadline:
        time.sleep(0.02)  # until then what they have mapped is in use
    remove(held)
    return code


def is_running(pid: int) -> bool:
    """Not gone, and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
