"""A training starts together with its engines where that takes nobody's memory, and ends with them.

The launcher, signals and processes are real; the engines are a class that starts as FAKE_ENGINES
says: `ready` once the training runs, `fail` then, or `never`.  Real ones: tests/test_train_rl.py.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import tests.src.launch.test_run as runs
from tests.src.launch.test_run import ONE, Launch, gone, until

DRIVER = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
import src.launch.jobs as jobs, src.launch.run as run
from src.inference_providers.base import ProviderError
from src.launch.__main__ import main

folder, how = Path(os.environ["FAKE_FOLDER"]), os.environ["FAKE_ENGINES"]


class Engines:
    def __init__(self, specs, settings, run_folder, node=0):
        self.specs, self.manifest = specs, folder / "manifest.json"
        self.machine = SimpleNamespace(has_gpus="FAKE_GPUS" in os.environ)

    def __enter__(self):
        assert not self.manifest.exists()
        if self.machine.has_gpus:
            time.sleep(1.0)
            (folder / "alone").write_text(str(not (folder / "pid-none").exists()))
        else:
            while not (folder / "pid-none").exists():
                time.sleep(0.05)
        if how == "fail":
            raise ProviderError("engine teacher died: out of memory")
        (folder / "starting").touch()
        if how == "never":
            time.sleep(300)
        self.manifest.touch()
        return self

    def __exit__(self, *_):
        (folder / "stopped").touch()

    def check(self):
        pass


jobs.SCRIPT = "tests/src/launch/fake_training.py"
run.EngineSet = Engines
run.plan_engines = lambda settings: [SimpleNamespace(name="teacher")]
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def with_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "DRIVER", DRIVER)


def test_they_start_together(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()  # an earlier start's, which nobody may attach to
    launch = Launch(tmp_path, *ONE, FAKE_ENGINES="ready")
    pids = launch.pids("none")
    until(lambda: (tmp_path / "starting").exists())
    launch.process.send_signal(signal.SIGTERM)
    assert launch.end() == 128 + signal.SIGTERM, launch.stderr
    assert (tmp_path / "checkpoint-none").exists() and (tmp_path / "stopped").exists()
    assert "asking the training to end" in launch.stderr
    assert gone(pids)


def test_on_gpus_the_training_comes_last(tmp_path: Path) -> None:
    launch = Launch(tmp_path, *ONE, FAKE_ENGINES="ready", FAKE_GPUS="1", FAKE_CODE="7")
    assert launch.end() == 7, launch.stderr
    assert (tmp_path / "alone").read_text() == "True"
    assert gone(launch.pids("none"))


def test_engines_that_fail_take_the_training_along(tmp_path: Path) -> None:
    launch = Launch(tmp_path, *ONE, FAKE_ENGINES="fail", FAKE_STUBBORN="1")
    pids = launch.pids("none")
    assert launch.end() == 1, launch.stderr
    errors = [line for line in launch.stderr.splitlines() if line.startswith("error:")]
    assert errors == ["error: engine teacher died: out of memory"]
    assert gone(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nobody_waits_for_engines_whose_launcher_is_gone(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A training that has not begun has no checkpoint to write: it is not given the grace."""
    launch = Launch(tmp_path, *ONE, FAKE_ENGINES="never", TUTOR_RL_GRACE_SECONDS="2")
    pids = launch.pids("none")
    until(lambda: (tmp_path / "starting").exists())
    launch.process.send_signal(number)
    code = launch.end()
    assert code == (130 if number == signal.SIGINT else -number), launch.stderr
    until(lambda: gone(pids))
    assert (tmp_path / "checkpoint-none").exists() == (number == signal.SIGKILL)
