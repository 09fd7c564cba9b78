"""One training run of the launcher, hit by real faults again and again, until it is finished.

The tests of this module run in their order on one run folder: each goes on where the last one was
brought down.  Alone, each of them starts the run anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.vllm.shared_memory import held_by
from tests.conftest import ROOT
from tests.train_runs import COIN, environment, launcher, model, rollout_rows
from utils.records import check, load_run
from utils.runs.folder import read_metrics

__all__ = ["model"]  # the fixture
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 6
SLOW_AND_SAVED = (  # rollouts that last, and a checkpoint after each update
    COIN,
    f"train.max_steps={STEPS}",
    "train.mu=1",
    "logging.save_steps=1",
    "generation.max_concurrent_conversations=2",
    "generation.max_tokens_per_turn=40",
)
PATIENCE_S = 400.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


class Launched:
    """A launcher in the background, what it says, and everything that it has started."""

    def __init__(self, model: Path, runs: Path, *more: str) -> None:
        self.folder = runs / "run"
        self.log = runs / "said.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                launcher(model, runs, *SLOW_AND_SAVED, *more),
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes: list[psutil.Process] = []
        self.files: set[Path] = set()

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.said()[-6000:]
            assert time.monotonic() < deadline, self.said()[-6000:]
            time.sleep(0.01)

    def until_in_rollout(self) -> None:
        """Some conversations of a later batch than the run's first are over, and some are not."""
        steps = self.steps()
        self.until(lambda: self.steps() > steps and self.lines("conversations.journal.jsonl") > 0)

    def until_in_update(self) -> None:
        """A batch of conversations is whole, and its update is not."""
        # what an earlier start held of this batch is forgotten first
        self.until(lambda: self.lines("conversations.jsonl") <= 8 * self.steps())
        self.until(lambda: self.lines("conversations.jsonl") == 8 * (self.steps() + 1))

    def steps(self) -> int:
        """Updates that are over."""
        return len([row for row in read_metrics(self.folder) if "reward" in row])

    def lines(self, name: str) -> int:
        with suppress(FileNotFoundError):
            return (self.folder / name).read_bytes().count(b"\n")
        return 0

    def note(self) -> None:
        """What must be gone in the end: processes, shared memory, sockets, weights."""
        self.processes = psutil.Process(self.process.pid).children(recursive=True)
        self.files = held_by(process.pid for process in self.processes)
        manifest = self.manifest()
        self.files |= {Path(manifest["weights_folder"])}
        self.files |= {Path(engine["socket"]).parent for engine in manifest["engines"]}
        assert all(file.exists() for file in self.files)

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "engines" / "manifest.json").read_text())

    def engine(self, role: str) -> psutil.Process:
        """The leader of an engine's process group."""
        (pid,) = [e["pid"] for e in self.manifest()["engines"] if role in e["spec"]["roles"]]
        return psutil.Process(pid)

    def rank(self, rank: int) -> psutil.Process:
        def is_it(process: psutil.Process) -> bool:
            with suppress(psutil.Error):
                return (
                    process.environ().get("RANK") == str(rank)
                    and "src.launch.ranks" not in process.cmdline()
                )
            return False

        return next(p for p in self.processes if is_it(p))

    def end(self) -> int:
        """The exit code; nothing of the job is left."""
        code = self.process.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while code == -signal.SIGKILL and self.left() and time.monotonic() < deadline:
            time.sleep(0.1)  # what a killed launcher has left behind ends itself
        assert self.left() == []
        assert [file for file in self.files if file.exists()] == []
        return code

    def left(self) -> list[psutil.Process]:
        found = []
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def said(self) -> str:
        return self.log.read_text()

    def errors(self) -> list[str]:
        return [line for line in self.said().splitlines() if line.startswith("error:")]


@contextmanager
def launched(model: Path, runs: Path, *more: str) -> Iterator[Launched]:
    run = Launched(model, runs, *more)
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.kill(run.process.pid, signal.SIGTERM)
        run.process.wait()


@pytest.mark.parametrize(("rank", "when"), [(1, "rollout"), (0, "update")])
def test_a_killed_rank_ends_the_job_at_once(model: Path, runs: Path, rank: int, when: str) -> None:
    with launched(model, runs) as run:
        run.until_in_rollout() if when == "rollout" else run.until_in_update()
        run.note()
        run.rank(rank).kill()
        assert run.end() == 128 + signal.SIGKILL, run.said()[-6000:]
        (error,) = run.errors()
        assert f"rank {rank} was killed by SIGKILL" in error
        assert "Traceback" not in run.said()


def test_a_killed_launcher_leaves_nothing(model: Path, runs: Path) -> None:
    with launched(model, runs) as run:
        run.until_in_update()
        run.note()
        run.process.kill()
        assert run.end() == -signal.SIGKILL


def test_a_hung_engine_is_killed_and_ends_the_job(model: Path, runs: Path) -> None:
    """Every process of the tutor's engine stands still in the middle of a rollout."""
    with launched(model, runs, "engines.hang_timeout_s=20") as run:
        run.until_in_rollout()
        run.note()
        os.killpg(run.engine("teacher").pid, signal.SIGSTOP)
        assert run.end() == 1
        (error,) = run.errors()
        assert error.startswith("error: engine teacher") and "engines.hang_timeout_s" in error
        assert "Traceback" not in run.said()


def test_killed_engines_are_replaced_and_nothing_is_trained_twice(model: Path, runs: Path) -> None:
    """The tutor's in the middle of a rollout, the student's while the trainer works."""
    with launched(model, runs, "engines.on_engine_death=restart") as run:
        run.until_in_rollout()
        for process in run.engine("teacher").children(recursive=True):
            process.kill()
        run.until_in_update()
        for process in run.engine("student").children(recursive=True):
            process.kill()
        assert run.end() == 0, run.said()[-6000:]
        assert run.errors() == [] and run.said().count("; restarted") == 2
    assert check(run.folder / "conversations.jsonl") == []
    records = load_run(run.folder)
    assert set(Counter(record.key for record in records).values()) == {1}
    assert Counter(record.step for record in records) == dict.fromkeys(range(STEPS), 8)
    rows = rollout_rows(run.folder)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    # a restarted tutor never answered with the weights that it had started with
    assert all(row["sampling/sampling_logp_difference/max"] < 1e-3 for row in rows), rows
