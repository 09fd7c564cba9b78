"""From a warm `./start_rl_training.sh` to the tutor's first token, and what the time goes into."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.speed.results import Pair, Result, compare, repeated
from benchmarks.speed.running import ROOT
from config.errors import RunError
from src.vllm.engines import MANIFEST, EngineSet

COMMAND = ("./start_rl_training.sh", "train.max_steps=1")
PATIENCE_S = 900.0


def _wait(holds: object, job: subprocess.Popen[bytes], deadline: float) -> float:
    while not holds():  # type: ignore[operator]
        if job.poll() is not None or time.perf_counter() > deadline:
            raise RunError("start_rl_training.sh ended, or took too long, before the first token")
        time.sleep(0.1)
    return time.perf_counter()


def _tutor_spoke(manifest: Path) -> bool:
    engine = EngineSet.attach(manifest).for_role("teacher")
    assert engine is not None
    lines = engine.control.metrics().splitlines()
    counts = [line for line in lines if line.startswith("vllm:generation_tokens_total")]
    return sum(float(line.rpartition(" ")[2]) for line in counts) > 0


def once() -> dict[str, float]:
    """Seconds of each part; the run is stopped then."""
    with tempfile.TemporaryDirectory() as runs:
        folder = Path(runs) / "start" / "engines"
        began = time.perf_counter()
        job = subprocess.Popen(
            [*COMMAND, "run_name=start", f"logging.save_dir={runs}"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"TUTOR_RL_GRACE_SECONDS": "5"},
        )
        try:
            deadline = began + PATIENCE_S
            launched = _wait(lambda: any(folder.glob("*.log")), job, deadline)
            served = _wait((folder / MANIFEST).exists, job, deadline)
            spoke = _wait(lambda: _tutor_spoke(folder / MANIFEST), job, deadline)
        finally:
            for patience in (60, 60):
                if job.poll() is None:
                    job.send_signal(signal.SIGTERM)
                    try:
                        job.wait(patience)
                    except subprocess.TimeoutExpired:
                        continue
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
    return {
        "launcher": launched - began,
        "engines": served - launched,
        "trainer and first request": spoke - served,
    }


def measure(name: str, repeats: int) -> Result:
    """Seconds."""

    def pair(_: int) -> Pair:
        parts = once()
        print("  " + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in parts.items()))
        return sum(parts.values()), None

    return compare(name, "s", repeated(repeats, pair))
