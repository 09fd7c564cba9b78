"""python -m src.calibrate as a user starts it: a judge behind an endpoint, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from src.evaluation.calibrate import main
from tests.conftest import ROOT
from tests.fault_server import Behaviour, FaultServer, ok
from utils.metrics.judges.calibration_file import kept_calibrations

RULE = "does_not_leak_answer"
PROMPT = f"generation.judges_rules_prompts_paths.{RULE}=prompt_templates/judges/{RULE}.txt"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = [
        {
            "conversation": f"c{n}", "problem": f"{n} bags?", "answer": "21",
            "turns": [["teacher", f"No {n}: " + ("it is 21." if n < 4 else "why?")]],
            "label": "REJECT" if n % 2 == 0 else "OK",
        }
        for n in range(10)
    ]  # fmt: skip
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answer(number: int, body: dict[str, Any]) -> Behaviour:
    """Rejects the turns that say it; never makes sense of turn 9; disagrees with itself on 5."""
    asked = body["messages"][-1]["content"]
    if "No 9:" in asked:
        return ok("I cannot say.", cost=0.001)
    rejects = "it is 21" in asked or ("No 5:" in asked and body["seed"] % 2)
    verdict = {"reasoning": "so", "decision": "REJECT" if rejects else "OK"}
    return ok(json.dumps(verdict), cost=0.001)


async def started(server: FaultServer, labels: Path, out: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "src.calibrate", RULE, "--labels", str(labels), "--out", str(out),
        PROMPT, "judge_model.model_name_or_path=m", f"judge_model.base_url={server.base_url}",
        "generation.number_judge_attempts=2", "generation.judge_retries=1",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = (await process.communicate())[0].decode()
    return process.returncode, said


async def test_a_judge_that_never_gives_a_verdict_is_an_error(labels: Path, tmp_path: Path) -> None:
    async with FaultServer([ok("I cannot say.")]) as server:
        code, said = await started(server, labels, tmp_path)
    assert code == 1, said
    assert f"error: {RULE}: no verdict on any of 10 turns" in said and "I cannot say." in said
    assert kept_calibrations(tmp_path) == []


async def test_a_hosted_judge_is_measured(labels: Path, tmp_path: Path) -> None:
    async with FaultServer(answer) as server:
        code, said = await started(server, labels, tmp_path / "kept")
    assert code == 0, said
    assert f"{RULE} against labels.jsonl" in said and "cost usd" in said
    [entry] = kept_calibrations(tmp_path / "kept")
    assert entry["undecided"] == 1 and entry["turns"] == 9
    assert entry["unreadable"] == 0.1  # two of twenty attempts, each asked twice
    assert entry["usage"]["requests"] == 22
    assert entry["usage"]["cost_usd"] == pytest.approx(0.022)
    assert entry["table"]["both"] == 2  # turns 0 and 2; 1 and 3 are the judge's alone
    assert entry["table"]["only_judge"] in (2, 3) and entry["table"]["only_people"] == 3
    assert 8 / 9 <= entry["attempts_agree"] <= 1


def test_a_matcher_of_the_settings_needs_no_model(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([RULE, "--labels", str(labels)]) == 0
    assert "0.500" in capsys.readouterr().out  # 2 of the 4 that it rejects


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no_such_rule"], f"it has {RULE}"),
        ([RULE, "generation.max_turn=3"], "max_turns"),
        ([RULE, "--most", "0"], "--most: must be at least 1"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--labels", str(labels)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
