"""eval.py as a user starts it, its models played by a server over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fault_server import Behaviour, FaultServer, ok
from utils.seeding import keyed_rng

PROBLEMS = 12


def answer(body: dict[str, Any], after_s: float = 0.0) -> Behaviour:
    """What the model says depends on the request alone."""
    text = json.dumps(body["messages"])
    rng = keyed_rng(text, body.get("seed"))
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if "boxed" in body["messages"][-1]["content"]:
        right = sum(numbers[-2:])
        return ok(f"So \\boxed{{{right + rng.choice((0, 0, 1))}}}", after_s=after_s)
    end = " <end_of_conversation>" if rng.random() < 0.3 else ""
    return ok(f"What about {rng.randint(1, 9)}?{end}", after_s=after_s)


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    rows = [{"problem": f"What is {n} + {n + 1}?", "answer": 2 * n + 1} for n in range(PROBLEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(server: FaultServer, problems: Path, runs: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "eval.py",
        "--config-name=smollm2",
        "run_name=e",
        f"logging.save_dir={runs}",
        *(f"{role}_model.base_url={server.base_url}" for role in ("teacher", "student")),
        *(f"{role}_model.model_name_or_path=m" for role in ("teacher", "student")),
        f"dataset.eval_datasets=[{{name_or_path: {problems}}}]",
        "generation.number_student_attempts=2",
        "eval.control=none",
        "eval.report=false",
        *more,
    ]


async def start(arguments: list[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *arguments,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # what a shell starts in the background ignores Ctrl-C, and so would all below it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


async def finished(arguments: list[str]) -> tuple[int, str, str]:
    process = await start(arguments)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def essence(folder: Path) -> list[dict[str, Any]]:
    """The record without what a clock wrote."""
    rows = [json.loads(line) for line in (folder / "conversations.jsonl").read_text().splitlines()]
    return [row | {"timing": None, "run": None} for row in rows]
