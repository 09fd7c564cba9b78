"""Process groups of servers: signalled, ended, and waited for until their memory is free."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Protocol


class Leader(Protocol):
    """The process that leads a server's group: `subprocess.Popen`, or a forked one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; subprocess.TimeoutExpired where it runs on after `timeout` seconds."""
        ...


def end_all(leaders: Sequence[Leader], grace_s: float) -> None:
    """End the group of each, politely first; after `grace_s` seconds by force."""
    for process in leaders:
        _signal_group(process.pid, signal.SIGTERM)
        _signal_group(process.pid, signal.SIGCONT)  # who was stopped takes it only then
    deadline = time.monotonic() + grace_s + 2.0
    for process in leaders:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
        end_group(process.pid, grace_s)


def end_group(group: int, grace_s: float) -> None:
    """Kill what outlived the group's leader, and wait until its memory is free again."""
    deadline = time.monotonic() + grace_s
    while _signal_group(group, signal.SIGKILL) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal_group(group: int, number: int) -> bool:
    """False where the group has no process any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
