"""Commands typed with a Python that lacks the requirements go on in the one that set-up made.

Standard library only: it runs before anything else is imported.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("omegaconf", "pydantic", "rich")  # what every command imports sooner or later
TOPS = ("benchmarks", "config", "src", "toy", "utils")


def made_by_set_up(root: Path = ROOT) -> Path | None:
    """The Python of the environment that scripts/set_up.py makes, where it has been made."""
    venv = Path(os.environ.get("TUTOR_RL_VENV") or root / ".venv")
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return python if python.exists() and any(venv.glob("set-up-*")) else None


def is_ours(words: Sequence[str], root: Path = ROOT) -> bool:
    """Whether an interpreter's words are one of our commands: `-m utils.report`, `eval.py`."""
    if len(words) > 1 and words[0] == "-m":
        return words[1].split(".")[0] in TOPS
    return bool(words) and words[0].endswith(".py") and Path(words[0]).resolve().parent == root


def find_environment() -> None:
    """Return where this Python has the requirements; else go on in the environment that has.

    Raises ModuleNotFoundError for a program that is not ours, SystemExit with one line for a
    command of ours, where there is no such environment.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return
    words, made = sys.orig_argv[1:], made_by_set_up()
    line = (
        f"this Python ({sys.executable}) has no {missing[0]}: activate the environment with the "
        "requirements; ./start_rl_training.sh makes one in .venv"
    )
    if not is_ours(words):
        raise ModuleNotFoundError(line)
    if made is None or Path(sys.prefix).resolve() == made.parents[1].resolve():
        raise SystemExit(f"error: {line}")
    print(f"environment: {made}", file=sys.stderr)
    sys.stderr.flush()
    os.execv(made, [str(made), *words])
