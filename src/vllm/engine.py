"""One running server: where it listens, whether it lives, and what its log says it died of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from src.vllm.control import EngineControl
from src.vllm.spec import EngineSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One running server: its plan, where it listens, and the process that leads its group."""

    spec: EngineSpec
    socket: Path
    log: Path
    log_start: int = 0  # bytes of earlier runs before this one's
    pid: int
    started: float  # of the process, by the kernel: a pid alone may be somebody else's by now

    @property
    def control(self) -> EngineControl:
        return EngineControl(self.spec.name, self.socket)

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def last_words(self) -> str:
        return last_words(self.log, self.log_start)

    def to_json(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_json(),
            "socket": str(self.socket),
            "log": str(self.log),
            "log_start": self.log_start,
            "pid": self.pid,
            "started": self.started,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Engine:
        return cls(
            spec=EngineSpec.from_json(data["spec"]),
            socket=Path(data["socket"]),
            log=Path(data["log"]),
            log_start=data["log_start"],
            pid=data["pid"],
            started=data["started"],
        )


_NOISE = re.compile(
    r"^\s*$|^\s+File \"|^\s{4,}|resource_tracker|Traceback \(most recent"
    r"|nanobind|Found ulimit|^\s*- (leaked|\.\.\.)"
)
_PREFIX = re.compile(
    r"^\((?:APIServer|EngineCore|Worker)[^)]*\)\s*(?:(?:INFO|WARNING|ERROR|DEBUG) "
    r"[\d-]+ [\d:.]+ \[[^\]]+\]\s*)?"
)
_ERROR = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b|\berror:", re.IGNORECASE)


def last_words(log: Path, start: int = 0, lines: int = 2) -> str:
    """The last lines of a server's log that say why it ended: errors if there are any.

    `start` is where this run's part begins, in bytes.
    """
    try:
        text = log.read_bytes()[start:][-65536:].decode(errors="replace")
    except OSError:
        return "it wrote no log"
    said = [_PREFIX.sub("", line).strip() for line in text.splitlines() if not _NOISE.match(line)]
    said = [line for line in said if line and not _NOISE.match(line)]
    errors = list(dict.fromkeys(line for line in said if _ERROR.search(line)))
    return " | ".join((errors or said)[-lines:]) or "it wrote no log"
