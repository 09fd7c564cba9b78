"""Where the classroom's own packages are: in the wheel, or around this folder."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def find_repository() -> Path:
    """The folder that holds the classroom's packages.  Raises ImportError where there is none."""
    for place in (HERE / "repository", HERE.parents[2]):
        if (place / "src" / "classroom.py").exists():
            return place
    raise ImportError(
        "tutor-classroom: the classroom's packages are missing; install the wheel, or the folder "
        "environments/tutor_classroom of a checkout"
    )


def import_from_repository() -> Path:
    """Make the classroom's packages importable.  Raises ImportError where other packages of these
    names were imported first."""
    place = find_repository()
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    for name in ("config", "src", "utils"):
        module = __import__(name)
        found = Path(module.__file__ or "").resolve()
        if not found.is_relative_to(place):
            raise ImportError(f"tutor-classroom: a package called {name!r} is in the way: {found}")
    return place
