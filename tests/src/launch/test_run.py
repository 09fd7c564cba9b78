"""Whatever way it ends, the launcher leaves nothing running; real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from src.launch.ranks import culprit
from src.launch.reaper import JOB

ROOT = Path(__file__).resolve().parents[3]
# the launcher itself, with another training script and no engines
DRIVER = """
import sys
import src.launch.jobs as jobs, src.launch.run as run
from src.launch.__main__ import main
jobs.SCRIPT = "tests/src/launch/fake_training.py"
run.plan_engines = lambda settings: []
sys.exit(main(sys.argv[1:]))
"""
ONE = ("train.use_deepspeed=false",)
PATIENCE_S = 60.0


class Launch:
    """A launcher under test and the processes that its training reported."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, f"logging.save_dir={folder}/runs", *arguments],
            cwd=ROOT,
            env={**os.environ, "FAKE_FOLDER": str(folder), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def pids(self, *ranks: str) -> list[int]:
        """Of the training and its grandchild, once they run."""
        until(lambda: all((self.folder / f"pid-{r}").exists() for r in ranks), self.process)
        found = [(self.folder / f"pid-{rank}").read_text().split() for rank in ranks]
        return [int(pid) for pair in found for pid in pair]

    def end(self) -> int:
        self.stderr = self.process.communicate(timeout=PATIENCE_S)[1]
        return self.process.returncode


def until(condition: object, process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a condition; a launcher that ends meanwhile is a failure."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        if process is not None and process.poll() is not None:
            pytest.fail(f"launcher ended: {process.communicate()[1]}")
        time.sleep(0.05)


def gone(pids: list[int]) -> bool:
    return not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for pid in pids
    )


@pytest.mark.parametrize("code", [0, 7])
def test_exit_code_is_the_trainings(tmp_path: Path, code: int) -> None:
    launch = Launch(tmp_path, *ONE, "run_name=mine", "train.mu=1", FAKE_CODE=str(code))
    assert launch.end() == code, launch.stderr
    assert gone(launch.pids("none"))
    arguments = json.loads((tmp_path / "arguments-none").read_text())
    assert "train.mu=1" in arguments
    assert arguments[-1] == "run_name=mine"
    assert arguments[:2] == ["--config-name", "toy"]


def test_exit_code_of_a_rank(tmp_path: Path) -> None:
    """Through accelerate; the other rank, which would wait for ever, is ended too."""
    launch = Launch(tmp_path, FAKE_CODE="7")
    pids = launch.pids("0", "1")
    assert launch.end() == 7, launch.stderr
    assert gone(pids)
    assert "Traceback" not in launch.stderr
    for rank in ("0", "1"):  # every rank reads the same settings
        arguments = json.loads((tmp_path / f"arguments-{rank}").read_text())
        assert f"logging.save_dir={tmp_path}/runs" in arguments


@pytest.mark.parametrize(
    ("exits", "found"),
    [
        ({0: 1, 1: -signal.SIGTERM}, 0),
        ({0: -signal.SIGTERM, 1: 1}, 1),
        ({0: 1, 1: -signal.SIGKILL}, 1),
        ({0: -signal.SIGTERM, 1: -signal.SIGTERM}, 0),
        ({0: 7, 1: 1}, 0),
    ],
)
def test_the_rank_that_began(exits: dict[int, int], found: int) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    failures = {
        rank: ProcessFailure(local_rank=rank, pid=rank, exitcode=code, error_file="none")
        for rank, code in exits.items()
    }
    assert culprit(failures)[0] == found


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_rank_is_named_and_ends_the_others(tmp_path: Path, rank: str) -> None:
    launch = Launch(tmp_path)
    pids = launch.pids("0", "1")
    os.kill(launch.pids(rank)[0], signal.SIGKILL)
    assert launch.end() == 128 + signal.SIGKILL, launch.stderr
    errors = [line for line in launch.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and f"rank {rank} was killed by SIGKILL" in errors[0], launch.stderr
    assert gone(pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_training_write_a_checkpoint(
    tmp_path: Path, number: signal.Signals
) -> None:
    launch = Launch(tmp_path, *ONE)
    pids = launch.pids("none")
    launch.process.send_signal(number)
    assert launch.end() == 128 + number, launch.stderr
    assert (tmp_path / "checkpoint-none").exists()
    assert gone(pids)


@pytest.mark.slow
def test_every_rank_may_write_its_checkpoint(tmp_path: Path) -> None:
    launch = Launch(tmp_path)
    pids = launch.pids("0", "1")
    launch.process.send_signal(signal.SIGTERM)
    assert launch.end() == 128 + signal.SIGTERM, launch.stderr
    assert (tmp_path / "checkpoint-0").exists()
    assert (tmp_path / "checkpoint-1").exists()
    assert gone(pids)


@pytest.mark.slow
def test_the_grace_ends(tmp_path: Path) -> None:
    launch = Launch(tmp_path, *ONE, FAKE_STUBBORN="1", TUTOR_RL_GRACE_SECONDS="1")
    pids = launch.pids("none")
    launch.process.send_signal(signal.SIGTERM)
    assert launch.end() == 128 + signal.SIGTERM
    assert gone(pids)


@pytest.mark.slow
def test_a_second_signal_shortens_the_grace(tmp_path: Path) -> None:
    launch = Launch(tmp_path, *ONE, FAKE_STUBBORN="1", TUTOR_RL_GRACE_SECONDS="3000")
    pids = launch.pids("none")
    launch.process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    launch.process.send_signal(signal.SIGINT)
    assert launch.end() == 128 + signal.SIGINT
    assert gone(pids)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_killed_launcher_leaves_nothing(tmp_path: Path, stubborn: bool) -> None:
    environment = {"FAKE_STUBBORN": "1"} if stubborn else {}
    launch = Launch(tmp_path, *ONE, TUTOR_RL_GRACE_SECONDS="2", **environment)
    pids = launch.pids("none")
    launch.process.kill()
    launch.end()
    until(lambda: gone(pids))
    assert (tmp_path / "checkpoint-none").exists() != stubborn


@pytest.mark.slow
def test_the_reaper_ends_what_outlives_its_parent_and_nothing_else() -> None:
    """Killed before the training began: an engine that does not notice is ended all the same."""
    environment = {k: v for k, v in os.environ.items() if k != JOB}
    engine = subprocess.Popen(["sleep", "300"], env={**environment, JOB: "job-one"})
    neighbour = subprocess.Popen(["sleep", "300"], env={**environment, JOB: "job-two"})
    try:
        command = [sys.executable, "-m", "src.launch.reaper", "job-one", "1"]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0
        assert engine.wait() == -signal.SIGKILL
        assert neighbour.poll() is None
    finally:
        engine.kill()
        neighbour.kill()
        engine.wait()
        neighbour.wait()


@pytest.mark.slow
def test_a_killed_launcher_leaves_no_rank(tmp_path: Path) -> None:
    launch = Launch(tmp_path)
    pids = launch.pids("0", "1")
    launch.process.kill()
    launch.end()
    until(lambda: gone(pids))
    assert (tmp_path / "checkpoint-0").exists()
    assert (tmp_path / "checkpoint-1").exists()


@pytest.mark.slow
def test_a_neighbour_is_left_alone(tmp_path: Path) -> None:
    """Two launchers at once: ending one does not end the other's training."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = Launch(tmp_path / "a", *ONE)
    other = Launch(tmp_path / "b", *ONE)
    first, second = one.pids("none"), other.pids("none")
    one.process.kill()
    one.end()
    until(lambda: gone(first))
    assert all(psutil.pid_exists(pid) for pid in second)
    other.process.send_signal(signal.SIGTERM)
    assert other.end() == 128 + signal.SIGTERM
    assert gone(second)


def test_a_sweep_runs_each_point_and_passes_over_finished_ones(tmp_path: Path) -> None:
    done = tmp_path / "runs" / "mine-mu_1"
    done.mkdir(parents=True)
    (done / "finished").touch()
    arguments = ("--multirun", "train.mu=1,2", "run_name=mine")
    launch = Launch(tmp_path, *ONE, *arguments, FAKE_CODE="0")
    assert launch.end() == 0, launch.stderr
    assert "mine-mu_1 is finished; passed over" in launch.stderr
    last = json.loads((tmp_path / "arguments-none").read_text())
    assert last[-2:] == ["train.mu=2", "run_name=mine-mu_2"]


@pytest.mark.slow
def test_a_failed_point_ends_the_sweep(tmp_path: Path) -> None:
    launch = Launch(tmp_path, *ONE, "--multirun", "train.mu=1,2", FAKE_CODE="7")
    assert launch.end() == 7
    assert "train.mu=1" in json.loads((tmp_path / "arguments-none").read_text())
