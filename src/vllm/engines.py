"""The servers of a run as one context manager: started, watched, found again, stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import psutil

from config.errors import ConfigError
from config.schema import EngineSettings
from src.embedded import resolve_model
from src.inference_providers.base import ProviderError
from src.vllm.control import EngineDied
from src.vllm.engine import Engine
from src.vllm.fork_server import ForkServer
from src.vllm.groups import Leader, end_all, end_group
from src.vllm.liveness import watch
from src.vllm.server import SERVER, Machine, is_one_process, server_command
from src.vllm.spec import EngineSpec
from src.vllm.supervisor import start

MANIFEST = "manifest.json"
RESTART_NOTICE_S = 60.0  # an owner notices a death in a second; more would be a dead owner
NAME = "model_name_or_path"
MANIFEST_VARIABLE = "TUTOR_RL_ENGINES"  # set by whoever owns the engines, for those who attach
GRACE_S = 10.0
SOCKET_PATH_LIMIT = 107


def wait_for_engines() -> None:
    """Until the engines that a launcher is starting for this process are there."""
    manifest = os.environ.get(MANIFEST_VARIABLE)
    while manifest and not Path(manifest).exists():  # if they fail, the launcher ends us
        time.sleep(0.1)


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
        node: int = 0,
    ) -> None:
        """`node`: which of a run's nodes this is; they may share the run's folder."""
        self.specs, self.settings = list(specs), settings
        self.machine = machine or Machine.detect()
        self.log_folder = run_folder.resolve() / "engines" / (f"node{node}" if node else "")
        self.engines: dict[str, Engine] = {}
        self.owner = True
        self._processes: dict[str, Leader] = {}
        self._fork_server: ForkServer | None = None
        self._folders: list[Path] = []
        self._restarted: set[str] = set()
        self._stopping = threading.Event()
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
        if importlib.util.find_spec("vllm") is None:
            raise ConfigError(
                "engines.backend: vLLM is not installed here; engines.backend=transformers runs "
                "the models in this process"
            )
        self.log_folder.mkdir(parents=True, exist_ok=True)
        sockets = self._private_folder(Path(tempfile.gettempdir()))
        self.weights_folder = self._private_folder(Path(self.settings.weights_dir))
        specs = [
            replace(s, model=resolve_model(s.model, setting=f"{s.setting}.{NAME}"))
            for s in self.specs
        ]
        batches = [[spec] for spec in specs] if self.machine.has_gpus else [specs]
        for batch in batches:
            for spec in batch:
                self.engines[spec.name] = self._launch(spec, sockets)
            for spec in batch:
                self._ready(self.engines[spec.name])
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
        command, added = server_command(spec, self.machine, socket, folder)
        environment = {**_without_keys(os.environ), **added}
        log = self.log_folder / f"{spec.name}.log"
        log_start = log.stat().st_size if log.exists() else 0
        paths = [str(path) for path in self._folders]  # removed if we are killed
        if is_one_process(spec, self.machine):
            arguments, timeout_s = command[len(SERVER) :], self.settings.start_timeout_s
            server = self._living_fork_server(environment)
            process: Leader = server.fork(arguments, log, GRACE_S, paths, timeout_s)
        else:
            process = start(command, environment, log, GRACE_S, paths)
        self._processes[spec.name] = process
        started = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended at once, and `_check` says why
            started = psutil.Process(process.pid).create_time()
        return Engine(
            spec=spec,
            socket=socket,
            log=log,
            log_start=log_start,
            pid=process.pid,
            started=started,
        )

    def _living_fork_server(self, environment: dict[str, str]) -> ForkServer:
        """The process that has imported vLLM for all engines, or another if that has died."""
        if self._fork_server is None or not self._fork_server.alive():
            if self._fork_server is not None:
                self._fork_server.close()
            self._fork_server = ForkServer(environment, self.log_folder)
        return self._fork_server

    def _ready(self, engine: Engine) -> None:
        """Wait until it answers; from then on it is watched for signs of life."""
        deadline = time.monotonic() + self.settings.start_timeout_s
        while not engine.control.healthy():
            self._check(engine)
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"engine {engine.spec.name}: not ready after"
                    f" {self.settings.start_timeout_s:.0f} s (engines.start_timeout_s);"
                    f" {engine.last_words()}"
                )
            time.sleep(0.1)
        if self.settings.hang_timeout_s:
            arguments = (engine, self.settings.hang_timeout_s, self._stopping)
            threading.Thread(target=watch, args=arguments, daemon=True).start()

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
        """Raises EngineDied with the last log lines if an engine has died."""
        for engine in self.engines.values():
            self._check(engine)

    def _check(self, engine: Engine) -> None:
        name = engine.spec.name
        process = self._processes.get(name)
        code = process.poll() if process is not None else None
        if code is not None or not engine.alive():
            how = f" with exit code {code}" if code is not None else ""
            raise EngineDied(
                name,
                f"engine {name} ({engine.spec.model}) died{how}: {engine.last_words()}"
                f" (whole log: {engine.log})",
            )

    def restart(self, name: str) -> None:
        """A dead engine's place is taken by a new one, awake, with the weights it started with.

        Blocking.  Who owns the engines starts it; who attached to them waits until it is there.
        Raises EngineDied where it was restarted before, ProviderError where it does not come up.
        """
        if name in self._restarted:
            self.check()
            raise EngineDied(name, f"engine {name}: died again after it was restarted")
        self._restarted.add(name)
        dead = self.engines[name]
        if self.owner:
            end_group(self._processes[name].pid, GRACE_S)
            self._processes[name].wait()
            dead.socket.unlink(missing_ok=True)
            self.engines[name] = self._launch(dead.spec, dead.socket.parent)
            self._ready(self.engines[name])
            self._write_manifest()
            return
        deadline = time.monotonic() + self.settings.start_timeout_s + RESTART_NOTICE_S
        while self.engines[name].pid == dead.pid:
            if not self.manifest.exists() or time.monotonic() > deadline:
                raise EngineDied(name, f"engine {name}: died and was not restarted")
            time.sleep(0.2)
            entries = json.loads(self.manifest.read_text())["engines"]
            found = {engine.spec.name: engine for engine in map(Engine.from_json, entries)}
            self.engines[name] = found[name]

    # --- stopping ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End what we own by process group, politely first; remove sockets and weights."""
        if not self.owner:
            return
        self._stopping.set()
        try:
            end_all(list(self._processes.values()), GRACE_S)
            self._processes.clear()
        finally:  # a second Ctrl-C cuts the wait short, and whoever sent it kills what is left
            if self._fork_server is not None:
                self._fork_server.close()
                self._fork_server = None
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)
            self._folders.clear()
            self.manifest.unlink(missing_ok=True)


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """What a server may see: no key but the hub's, which it needs to download."""
    return {k: v for k, v in environment.items() if not k.endswith("_API_KEY")}
