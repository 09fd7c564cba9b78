"""L: whole trainings from what is in the checkout, by the ordinary command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.found import Found
from src.vllm.server import REPOSITORY


def toy(found: Found, work: Path, dry: bool) -> None:
    """The toy classroom: engines, conversations by vLLM, updates under DeepSpeed, hand-over."""
    updates, config = (1, "toy") if dry else (8, "toy_gpu")
    command = [
        *(sys.executable, "-m", "src.launch", "--config-name", config),
        *(f"run_name=toy-{os.getpid()}", f"logging.save_dir={work / 'runs'}"),
        *(f"train.max_steps={updates}", "train.eval_steps=0", "logging.save_steps=1000"),
    ]
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    print(done.stdout[-4000:], done.stderr[-8000:], sep="\n")
    folder = work / "runs" / f"toy-{os.getpid()}"
    rows = _metrics(folder)
    found.found = {
        "exit_code": done.returncode,
        "whole_s": seconds,
        "updates": len(rows),
        "last": {k: v for k, v in (rows[-1] if rows else {}).items() if _tells(k)},
        "step_s": [row.get("step_time") for row in rows],
    }
    found.expected = {"exit_code": 0, "updates": updates, "sampling gap": "below 0.1 nats"}
    found.passed = done.returncode == 0 and len(rows) >= updates
    found.setting = "start_rl_training.sh --plan says what fits"
    if not found.passed:
        found.reason = " | ".join((done.stderr or done.stdout).strip().splitlines()[-6:])[-800:]


def _metrics(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("metrics*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [row for row in map(json.loads, lines) if "loss" in row]


def _tells(name: str) -> bool:
    return any(part in name for part in ("loss", "grad_norm", "sampling", "reward", "time", "kl"))
