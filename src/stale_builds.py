"""Operators that are compiled at first use, and locks that a killed start leaves of it.

torch compiles DeepSpeed's operators at their first use, in one process, and the others wait for its
lock file.  A process that is killed leaves the file, and then everybody waits for ever.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

OLD_S = 600.0  # no operator takes so long; the file may belong to another machine's process


def drop_stale_locks(*, shared: bool = False) -> list[Path]:
    """Remove the locks that nobody holds, and say which.

    The process that compiles keeps its lock file open.  `shared`: other machines may compile in
    the same folder, and their processes cannot be seen from here; then age decides as well.
    """
    locks = [path for path in _folder().glob("**/lock") if path.is_file()]
    if not locks:
        return []
    held = _open_files()
    dropped = []
    for path in locks:
        age = time.time() - path.stat().st_mtime
        if path.resolve() not in held and (not shared or age > OLD_S):
            path.unlink(missing_ok=True)
            dropped.append(path)
    return dropped


def nothing_built() -> bool:
    """Whether the first operator is still to be compiled, which takes a minute on two cores.

    What another environment has built does not count: its paths stand in the build file, and torch
    builds again where they differ.
    """
    builds = (path for path in _folder().glob("**/build.ninja") if any(path.parent.glob("*.so")))
    return not any(f"{sys.prefix}/" in path.read_text(errors="replace") for path in builds)


def _folder() -> Path:
    """Where torch keeps what it compiles."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cache / "torch_extensions")


def _open_files() -> set[Path]:
    """Files that this user's processes have open."""
    found: set[Path] = set()
    for process in psutil.process_iter():
        try:
            found.update(Path(file.path).resolve() for file in process.open_files())
        except psutil.Error:
            continue  # gone, or somebody else's
    return found
