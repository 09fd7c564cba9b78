"""Runs one job: engines up, training in its own session, and at any end nothing of either left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil

from config.errors import RunError
from config.notes import QUIET
from src.launch.jobs import Job, with_manifest
from src.launch.ranks import shell_code
from src.launch.reaper import JOB, end_training, kill_members
from src.stale_builds import drop_stale_locks, nothing_built
from src.vllm.control import EngineDied
from src.vllm.engines import EngineSet
from src.vllm.spec import plan_engines
from utils.settings.hydra_entry import ROOT

NOTICE_S = 30.0  # a dead engine's training gets so long to end by itself
POLL_S = 0.2
ORPHAN_S = 120.0  # the longest grace of a training whose launcher was killed


class Interrupted(BaseException):
    """A signal asked the launcher to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """The first of SIGINT, SIGTERM, SIGHUP raises Interrupted; a later one shortens the grace."""

    def __init__(self) -> None:
        self.received = 0
        self.training: subprocess.Popen[bytes] | None = None
        self.token = ""

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.received += 1
        if self.received == 1:
            raise Interrupted(number)
        if self.training is not None:
            kill_members(f"{self.token}-training")


def run_job(job: Job, signals: Signals, grace_s: float) -> int:
    """The training's exit code, or 128 + n where signal n ended the launcher."""
    for lock in drop_stale_locks(shared=job.ranks is not None and job.ranks.machines > 1):
        say(f"{lock}: left by a start that was killed while it compiled; removed")
    ranks = job.ranks  # on GPUs only the optimizer that steps on the CPU is compiled
    if ranks is not None and (ranks.on_cpu or ranks.offload_optimizer) and nothing_built():
        say("first start in this environment: DeepSpeed compiles an operator, about a minute")
    token = f"job-{uuid.uuid4().hex}"
    signals.token = token
    os.environ[JOB] = token  # engines inherit it
    with _reaper(token, grace_s) as reaper:
        try:
            specs = plan_engines(job.settings)
            if not specs:
                return _train(_start(job, None, signals, reaper), None, signals, grace_s)
            node = job.ranks.machine_rank if job.ranks else 0
            engines = EngineSet(specs, job.settings.engines, job.folder, node=node)
            return _train_beside(job, engines, signals, reaper, grace_s)
        except Interrupted as interruption:
            return 128 + interruption.number
        finally:
            kill_members(token)
            os.environ.pop(JOB, None)


@contextlib.contextmanager
def _reaper(token: str, grace_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """The process that cleans up if we are killed outright; then the engines are gone too, and
    a training has nothing to finish but its checkpoint."""
    environment = {k: v for k, v in os.environ.items() if k != JOB}
    process = subprocess.Popen(
        [sys.executable, "-m", "src.launch.reaper", token, str(min(grace_s, ORPHAN_S))],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.communicate(b"done\n")


def _train_beside(
    job: Job,
    engines: EngineSet,
    signals: Signals,
    reaper: subprocess.Popen[bytes],
    grace_s: float,
) -> int:
    """Engines up, and the training's exit code.

    On a CPU the training starts together with them: it imports, and waits for their manifest.  On
    GPUs nobody may take memory while an engine starts, so it comes after them.
    """
    say(f"starting {len(engines.specs)} engines: {', '.join(s.name for s in engines.specs)}")
    engines.manifest.unlink(missing_ok=True)  # an earlier start's
    began, early = time.monotonic(), not engines.machine.has_gpus
    training = _start(job, engines.manifest, signals, reaper) if early else None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(engines)
        except BaseException:
            kill_members(f"{signals.token}-training")  # it has done nothing yet
            raise
        say(f"engines ready in {time.monotonic() - began:.0f} s")
        if training is None:
            training = _start(job, engines.manifest, signals, reaper)
        return _train(training, engines, signals, grace_s)


def _start(
    job: Job, manifest: Path | None, signals: Signals, reaper: subprocess.Popen[bytes]
) -> subprocess.Popen[bytes]:
    """The training as a process of its own session, which the reaper knows."""
    environment = with_manifest(job.environment, manifest)
    environment |= {JOB: f"{signals.token}-training", QUIET: "1"}
    training = subprocess.Popen(
        job.command, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
    )
    assert reaper.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        reaper.stdin.write(f"{training.pid}\n".encode())
        reaper.stdin.flush()
    return training


def _train(
    training: subprocess.Popen[bytes], engines: EngineSet | None, signals: Signals, grace_s: float
) -> int:
    """The exit code of a training that runs; whatever happens, nothing of it is left."""
    signals.training = training
    try:
        return _wait(training, engines)
    except Interrupted as interruption:
        say(f"{interruption}: asking the training to end (up to {grace_s:.0f} s; again: at once)")
        raise
    finally:
        if training.poll() is None:
            end_training(psutil.Process(training.pid), f"{signals.token}-training", grace_s)
            training.wait()
        kill_members(f"{signals.token}-training")
        signals.training = None


def _wait(training: subprocess.Popen[bytes], engines: EngineSet | None) -> int:
    """The training's exit code; RunError where an engine died and the training did not notice."""
    next_check = time.monotonic()
    died: tuple[float, RunError] | None = None
    while (code := training.poll()) is None:
        time.sleep(POLL_S)
        if died is not None and time.monotonic() - died[0] > NOTICE_S:
            raise died[1]
        if engines is not None and died is None and time.monotonic() >= next_check:
            next_check = time.monotonic() + 1.0
            try:
                engines.check()
            except EngineDied as error:
                died = None if _restarted(engines, error) else (time.monotonic(), error)
    if died is not None and code == 0:
        raise died[1]
    return shell_code(code)


def _restarted(engines: EngineSet, death: EngineDied) -> bool:
    """Whether a new engine took the dead one's place, which happens once."""
    if engines.settings.on_engine_death != "restart":
        return False
    try:
        engines.restart(death.name)
    except RunError as error:
        say(str(error))
        return False
    say(f"{death}; restarted")
    return True


def say(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)
