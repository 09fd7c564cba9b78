"""`runs/<run_name>/`: which folder a run gets, whether it goes on, and what is kept in it.

A run has the name it was given, else its config's name and a short hash of the settings.  An
unfinished run of that name is gone on with, if its settings are the same; a finished one makes the
next start `-2`.  Every rank computes the same name; only the lead rank (RANK 0) writes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from config.errors import ConfigError, RunError
from config.original import gone
from utils.runs.checkpoints import last_checkpoint
from utils.runs.differences import differences, with_defaults
from utils.runs.logs import register_secrets_of
from utils.runs.names import FINISHED, FREE, ROOT, run_path, saved_settings, say_if_another
from utils.yaml_files import read_mapping

CONFIG, REVISION = "config.yaml", "git_revision.txt"
METRICS, LOCK = "metrics.jsonl", ".lock"
SHOWN_DIFFERENCES = 8


@dataclasses.dataclass(kw_only=True)
class RunFolder:
    """One run's folder.  Close it, or leave its `with` block, when the run ends."""

    path: Path
    resumed: bool  # an unfinished run of this name was found
    lead: bool
    _lock: IO[str] | None = None

    @property
    def name(self) -> str:
        return self.path.name

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end."""
        return last_checkpoint(self.path)

    def add_metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl: the step, seconds since the epoch, the values."""
        if self.lead:
            whole = {"step": step, "time": round(time.time(), 3), **values}
            line = json.dumps({k: _finite(v) for k, v in whole.items()})
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl."""
        return read_metrics(self.path)

    def drop_metrics_after(self, step: int) -> None:
        """Forget lines of steps that a resumed run takes again."""
        path = self.path / METRICS
        if self.lead and path.exists():
            kept = [line for line in self.metrics() if line.get("step", 0) <= step]
            draft = path.with_suffix(".tmp")
            draft.write_text("".join(json.dumps(line) + "\n" for line in kept))
            draft.replace(path)

    def finish(self) -> None:
        """Mark the run as complete: the next start of this name is another run."""
        if self.lead:
            (self.path / FINISHED).write_text(time.strftime("%Y-%m-%dT%H:%M:%S%z\n"))

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _finite(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_lead() -> bool:
    """Whether this process decides and writes: rank 0, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of a run's metrics.jsonl; a torn last line is passed over."""
    path = folder / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]


def open_run(settings: Any, *, config_name: str | None = None) -> RunFolder:
    """The folder of this run, made or found again; `settings` is a validated settings object.

    Sets `settings.run_name` to the folder's name.  The lead rank holds a lock on the folder until
    it is closed.  Raises ConfigError where an unfinished run of this name had other settings, or
    is still running.
    """
    register_secrets_of(settings)
    path = run_path(settings, config_name)
    say_if_another(settings, path, config_name)
    settings.run_name = path.name
    resumed = (path / CONFIG).exists()
    run = RunFolder(path=path, resumed=resumed, lead=is_lead())
    if not run.lead:
        return run
    try:
        path.mkdir(parents=True, exist_ok=True)
        run._lock = _take_lock(path)
        if resumed:
            _refuse_changes(path, settings)
        _write(path / CONFIG, yaml.safe_dump(saved_settings(settings), sort_keys=False))
    except OSError as error:
        run.close()
        raise RunError(f"logging.save_dir: {path}: {error.strerror or error}") from error
    except ConfigError:
        run.close()
        raise
    with (path / REVISION).open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {git_revision()}\n")
    return run


def check_run(settings: Any, config_name: str | None = None) -> Path:
    """`run_path`, refused as `open_run` would refuse it, before anything slow has begun."""
    register_secrets_of(settings)
    path = run_path(settings, config_name)
    say_if_another(settings, path, config_name)
    if (path / CONFIG).exists():
        lock = _take_lock(path)
        if lock is not None:
            lock.close()
        _refuse_changes(path, settings)
    return path


def _refuse_changes(path: Path, settings: Any) -> None:
    old = with_defaults(read_mapping(path / CONFIG), type(settings)())
    old.pop("run_name")
    found = differences(old, saved_settings(settings))
    keys = ((line, line.partition(":")[0]) for line in found)
    changed = [line for line, key in keys if key not in FREE and gone(key) is None]
    if changed:
        more = len(changed) - SHOWN_DIFFERENCES
        listed = "; ".join(changed[:SHOWN_DIFFERENCES]) + (f"; {more} more" if more > 0 else "")
        raise ConfigError(
            f"run_name: {path} is an unfinished run with other settings ({listed}); "
            "start it with the same ones, or give this run another run_name"
        )


def _take_lock(path: Path) -> IO[str] | None:
    """Held as long as the process lives, however it ends."""
    if os.name == "nt":
        return None
    import fcntl

    file = (path / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(
            f"run_name: {path} is in use by another process; give this run another run_name"
        ) from None
    return file


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def git_revision() -> str:
    """The commit that the code stands at, with `-dirty` for local changes; else `unknown`."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"
