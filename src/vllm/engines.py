"""The servers of a run as one context manager: started, watched, found again, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from config.schema import EngineSettings
from src.embedded import resolve_model
from src.inference_providers.base import ProviderError
from src.vllm.control import EngineControl
from src.vllm.server import REPOSITORY, Machine, server_command
from src.vllm.spec import EngineSpec

MANIFEST = "manifest.json"
MANIFEST_VARIABLE = "TUTOR_RL_ENGINES"  # set by whoever owns the engines, for those who attach
GRACE_S = 10.0
SOCKET_PATH_LIMIT = 107


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


class EngineSet:
    """All engines of a run on this node.

    `with EngineSet(specs, settings, run_folder) as engines:` starts and owns them;
    `EngineSet.attach(manifest)` uses those that another process owns, and stops nothing.
    Raises ProviderError, one line, where an engine does not come up or has died.
    """

    def __init__(
        self,
        specs: Sequence[EngineSpec],
        settings: EngineSettings,
        run_folder: Path,
        machine: Machine | None = None,
    ) -> None:
        self.specs, self.settings = list(specs), settings
        self.machine = machine or Machine.detect()
        self.log_folder = run_folder.resolve() / "engines"
        self.engines: dict[str, Engine] = {}
        self.owner = True
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folders: list[Path] = []
        self._stopping = False
        self.weights_folder: Path

    @property
    def manifest(self) -> Path:
        return self.log_folder / MANIFEST

    @classmethod
    def attach(cls, manifest: Path) -> EngineSet:
        """The engines that a manifest names, owned by whoever wrote it."""
        data = json.loads(manifest.read_text())
        engines = [Engine.from_json(entry) for entry in data["engines"]]
        found = cls([e.spec for e in engines], EngineSettings(**data["settings"]), Path("."))
        found.log_folder = manifest.parent
        found.engines = {e.spec.name: e for e in engines}
        found.weights_folder = Path(data["weights_folder"])
        found.owner = False
        found.check()
        return found

    def __enter__(self) -> EngineSet:
        if self.owner:
            try:
                self.start()
            except BaseException:
                self.stop()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- starting ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start every engine and wait until it answers.

        On GPUs one at a time, each put to sleep before the next: vLLM measures free memory while
        it starts.  On a CPU together, which takes less time than one after the other.
        """
        self.log_folder.mkdir(parents=True, exist_ok=True)
        sockets = self._private_folder(Path(tempfile.gettempdir()))
        self.weights_folder = self._private_folder(Path(self.settings.weights_dir))
        specs = [replace(spec, model=resolve_model(spec.model)) for spec in self.specs]
        batches = [[spec] for spec in specs] if self.machine.has_gpus else [specs]
        for batch in batches:
            for spec in batch:
                self.engines[spec.name] = self._launch(spec, sockets)
            for spec in batch:
                self._wait_healthy(self.engines[spec.name])
                if spec.sleeps:
                    self.engines[spec.name].control.sleep(level=1)
        self._write_manifest()

    def _private_folder(self, parent: Path) -> Path:
        try:
            folder = Path(tempfile.mkdtemp(prefix="tutor-rl-", dir=parent))  # mode 0700
        except OSError as error:
            raise ProviderError(f"engines: no folder can be made in {parent}: {error}") from None
        self._folders.append(folder)
        return folder

    def _launch(self, spec: EngineSpec, folder: Path) -> Engine:
        socket = folder / f"{spec.name}.sock"
        if len(os.fsencode(socket)) > SOCKET_PATH_LIMIT:
            raise ProviderError(
                f"engine {spec.name}: {socket} is too long for a Unix socket; set TMPDIR to a"
                " shorter folder"
            )
        command, environment = server_command(spec, self.machine, socket, folder)
        removed_if_orphaned = [str(path) for path in self._folders]
        supervisor = [sys.executable, "-m", "src.vllm.supervisor", str(os.getpid()), str(GRACE_S)]
        log = self.log_folder / f"{spec.name}.log"
        with log.open("ab") as output:
            log_start = output.tell()
            process = subprocess.Popen(
                [*supervisor, *removed_if_orphaned, "--", *command],
                cwd=REPOSITORY,
                env={**_without_keys(os.environ), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[spec.name] = process
        started = psutil.Process(process.pid).create_time()
        return Engine(
            spec=spec,
            socket=socket,
            log=log,
            log_start=log_start,
            pid=process.pid,
            started=started,
        )

    def _wait_healthy(self, engine: Engine) -> None:
        deadline = time.monotonic() + self.settings.start_timeout_s
        while not engine.control.healthy():
            self.check()
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"engine {engine.spec.name}: not ready after"
                    f" {self.settings.start_timeout_s:.0f} s (engines.start_timeout_s);"
                    f" {engine.last_words()}"
                )
            time.sleep(0.1)

    def _write_manifest(self) -> None:
        data = {
            "engines": [engine.to_json() for engine in self.engines.values()],
            "weights_folder": str(self.weights_folder),
            "settings": vars(self.settings),
        }
        draft = self.manifest.with_suffix(".tmp")
        draft.write_text(json.dumps(data, indent=1))
        draft.replace(self.manifest)

    # --- using ------------------------------------------------------------------------------

    def for_role(self, role: str) -> Engine | None:
        """The engine that serves a role; None where none of ours does."""
        for engine in self.engines.values():
            if role in engine.spec.roles:
                return engine
        return None

    def check(self) -> None:
        """Raises ProviderError with the last log lines if an engine has died."""
        for name, engine in self.engines.items():
            process = self._processes.get(name)
            code = process.poll() if process is not None else None
            if code is not None or not engine.alive():
                how = f" with exit code {code}" if code is not None else ""
                raise ProviderError(
                    f"engine {name} ({engine.spec.model}) died{how}: {engine.last_words()}"
                    f" (whole log: {engine.log})"
                )

    async def watch(self, interval_s: float = 1.0) -> None:
        """Never returns; raises ProviderError when an engine has died.  Run it beside a rollout."""
        while True:
            self.check()
            await asyncio.sleep(interval_s)

    # --- stopping ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End what we own by process group, politely first; remove sockets and weights."""
        if not self.owner:
            return
        for process in self._processes.values():
            _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S + 2.0
        for process in self._processes.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process.pid, signal.SIGKILL)
                process.wait()
            _signal_group(process.pid, signal.SIGKILL)  # children that outlived it
        self._processes.clear()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()
        self.manifest.unlink(missing_ok=True)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """What a server may see: no key but the hub's, which it needs to download."""
    return {k: v for k, v in environment.items() if not k.endswith("_API_KEY")}


_NOISE = re.compile(r"^\s*$|^\s+File \"|^\s{4,}|resource_tracker|Traceback \(most recent")
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
