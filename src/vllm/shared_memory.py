"""Shared memory that killed processes leave in /dev/shm: noted while they live, removed after.

multiprocessing's segments (`psm_*`) and semaphores (`sem.mp-*`) have names that say nothing about
whose they are, and their own tracker is killed with its process group.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

SHM = Path("/dev/shm")


def held_by(pids: Iterable[int]) -> set[Path]:
    """The files directly in /dev/shm that these processes have mapped.

    Found by inode: a semaphore is mapped under a first name, which is gone once it has its own.
    """
    inodes: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
                if " /dev/shm/" in line:
                    inodes.add(int(line.split()[4]))
    if not inodes:
        return set()
    with os.scandir(SHM) as entries:
        return {Path(e.path) for e in entries if e.inode() in inodes and e.is_file()}


def remove(paths: Iterable[Path]) -> None:
    """Unlink those that no process has mapped any more."""
    left = {path for path in paths if path.exists()}
    if left:
        left -= held_by(int(name) for name in os.listdir("/proc") if name.isdigit())
    for path in left:
        path.unlink(missing_ok=True)
