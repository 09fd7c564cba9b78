"""Plans of shipped configs on machines that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from src.launch.arguments import parse
from src.launch.jobs import plan_jobs
from src.launch.plan import describe, print_plans, training_of
from src.memory_plan.parts import Plan
from src.memory_plan.plan import plan_memory
from src.vllm.server import Machine

Planned = Callable[..., tuple[Plan, str]]


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Planned:
    def run(
        config: str, *argv: str, gpus: int = 4, memory: int = 80, ram: int = 512
    ) -> tuple[Plan, str]:
        machine = ("--gpus", str(gpus), "--gpu-memory", str(memory), "--ram", str(ram))
        typed = [*machine, "--config-name", config, f"logging.save_dir={tmp_path}", *argv]
        arguments = parse(["--plan", *typed], config_name="none")
        described = describe(arguments, Machine(cores=2))
        (job,), _ = plan_jobs(arguments, described.gpus, 1)
        print_plans([job], described)
        plan = plan_memory(job.settings, described, training_of(job, described))
        return plan, capsys.readouterr().out

    return run
