"""A tutor behind an endpoint, in one command: its own prompt is kept, over real HTTP."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import EvalConfig
from src.background import Background
from src.evaluation.run import evaluate
from src.inference_providers.budget import BudgetReached
from tests.conftest import ROOT
from tests.fault_server import Behaviour, FaultServer, ok
from utils.records import load_run
from utils.settings.hydra_entry import load_config

PAGE = ROOT / "docs" / "evaluate-your-tutor.md"
OK = '{"reasoning": "fine", "decision": "OK"}'


def settings(folder: Path, address: str, *more: str) -> EvalConfig:
    """The shipped config with every hosted model at this address."""
    overrides = [f"teacher_model.base_url={address}", f"logging.save_dir={folder}"]
    for role in ("student_model", "judge_model"):
        overrides += [f"{role}.use_openrouter=false", f"{role}.base_url={address}"]
    return load_config("config/eval", EvalConfig, "endpoint", [*overrides, *more])


def answer(number: int, body: dict[str, Any]) -> Behaviour:
    if "gemma" in body["model"]:
        return ok(OK, cost=0.0001)
    solves = "boxed" in str(body["messages"])
    return ok("\\boxed{11}" if solves else "What next?", cost=0.0001)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """In a loop of its own: an evaluation wants the main thread."""
    with Background() as loop:
        running = FaultServer(answer)
        loop.run(running.__aenter__())
        yield running
        loop.run(running.__aexit__())


@pytest.mark.parametrize("kind", ["guided", "attempted"])
def test_the_products_own_prompt_is_kept(tmp_path: Path, kind: str, server: FaultServer) -> None:
    forced = f"generation.forced_conversation_type={kind}"
    cfg = settings(tmp_path, server.base_url, forced, "generation.max_turns=4")
    assert evaluate(cfg) == 0
    told = [b["messages"] for b in server.requests if b["model"] == "my-tutor"]
    assert told and all(m["role"] != "system" for messages in told for m in messages)
    problems = [r.problem for r in load_run(next(tmp_path.iterdir()))]
    assert len(problems) == 10
    assert all(any(p in messages[0]["content"] for p in problems) for messages in told)
    students = [b["messages"][0] for b in server.requests if "llama" in b["model"]]
    assert any(first["role"] == "system" for first in students)


def test_the_cap_ends_the_run_and_what_was_paid_for_is_kept(
    tmp_path: Path, server: FaultServer
) -> None:
    cfg = settings(tmp_path, server.base_url, "engines.max_cost_usd=0.01")
    with pytest.raises(BudgetReached, match=r"engines\.max_cost_usd"):
        evaluate(cfg)
    assert len(server.requests) <= 110


def test_a_tutor_without_prompt_must_hear_of_the_problem(tmp_path: Path) -> None:
    opening = "generation.tutor_opening_prompt_path=prompt_templates/tutor_opening.txt"
    cfg = settings(tmp_path, "http://127.0.0.1:9/v1", opening)
    with pytest.raises(ConfigError, match=r"^generation\.tutor_opening_prompt_path: .*problem"):
        evaluate(cfg)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # a student of 135 million parameters in this process
def test_the_documented_server_of_three_lines(tmp_path: Path) -> None:
    [block] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(block.splitlines()) == 3
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "my_tutor.py").write_text(block.replace("8000", str(port)))
    server = subprocess.Popen([sys.executable, str(tmp_path / "my_tutor.py")])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        done = subprocess.run(
            [sys.executable, "eval.py", "--config-name", "endpoint_embedded",
             f"teacher_model.base_url=http://127.0.0.1:{port}/v1", "dataset.max_val_examples=2",
             "generation.number_student_attempts=1", "generation.max_turns=3",
             "generation.max_tokens_per_turn=24", "recompute_initial_attempts=false",
             f"logging.save_dir={tmp_path / 'runs'}"],
            cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "2"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        server.kill()
        server.wait()
    assert done.returncode == 0, done.stderr[-2000:]
    records = load_run(next((tmp_path / "runs").iterdir()))
    tutor = [m.visible for r in records for m in r.messages if m.role == "teacher"]
    assert len(records) == 2 and set(tutor) == {"What do you know already?"}
    assert all(r.verdicts["does_not_leak_answer"][0].decision == "OK" for r in records)
