"""What judges were measured at: calibration.json in a folder, one entry for each judge and file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from utils.metrics.judges.calibration import Calibration

CALIBRATION = "calibration.json"


def kept_calibrations(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder, none where it holds no such file."""
    path = folder / CALIBRATION
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep_calibration(folder: Path, calibration: Calibration) -> Path:
    """Add an entry; an earlier one of the same judge and labels is replaced."""
    new = calibration.to_json()
    others = [
        entry
        for entry in kept_calibrations(folder)
        if (entry["judge"], entry["labels"]) != (new["judge"], new["labels"])
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CALIBRATION
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(json.dumps([*others, new], indent=2, ensure_ascii=False) + "\n", "utf-8")
    draft.replace(path)
    return path
