"""Lines for whoever typed the settings: what is read otherwise than it is written."""

from __future__ import annotations

import os
import sys

QUIET = "TUTOR_RL_NOTED"  # set for a process whose parent has said everything
_said: set[str] = set()


def note(text: str) -> None:
    """Print one line on stderr: once a process, and on the lead rank alone."""
    if text in _said or os.environ.get(QUIET) or os.environ.get("RANK", "0") != "0":
        return
    _said.add(text)
    print(f"note: {text}", file=sys.stderr, flush=True)
