"""The verifiers environment against our own evaluation: the same conversations, the same rewards.

Tutor, student and judge are one small server on loopback.  verifiers runs in an environment of its
own: the folder that VERIFIERS_VENV names, or one that this test makes once in the user's cache
folder where the packages can be had.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from src.background import Background
from src.embedded import cache_folder
from tests.conftest import ROOT
from tests.fault_server import Behaviour, FaultServer
from utils.records import ConversationRecord, load_run

PACKAGE = ROOT / "environments" / "tutor_classroom"
PROBLEMS = "problem,answer\nWhat is 47+38?,85\nWhat is 29+14?,43\nWhat is 58+16?,74\n"
UNJUDGED = "58+16"


def environment() -> Path:
    """An environment with what the package needs; skips, with a reason, where it cannot be had."""
    if given := os.environ.get("VERIFIERS_VENV"):
        return Path(given)
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    key = hashlib.sha256(" ".join(sorted(wanted)).encode()).hexdigest()[:8]
    made = cache_folder() / f"verifiers-{key}"
    if (made / "complete").exists():
        return made
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(made)], check=True)
    done = subprocess.run(
        [str(made / "bin" / "pip"), "install", "-q", *wanted],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"verifiers cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    (made / "complete").touch()
    return made


def answer(_: int, body: dict[str, Any]) -> Behaviour:
    """What each of the three models says; it depends on the conversation and on nothing else."""
    said = [m["content"] for m in body["messages"]]
    text = {"tutor": _tutor, "student": _student, "judge": _judge}[body["model"]](said)
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    whole = {
        "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage,
    }  # fmt: skip

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(whole)

    return reply


def _tutor(said: list[str]) -> str:
    if any("29+14" in text for text in said):
        return "<think>Tell it.</think>It is 43. <end_of_conversation>"
    last = " <end_of_conversation>" if len(said) > 4 else ""
    return f"<think>Ask.</think>What comes after '{said[-1][-12:]}'?{last}"


def _student(said: list[str]) -> str:
    knows = hashlib.sha256(said[-1].encode()).digest()[0] % 2
    return f"I tried {len(said)} times: \\boxed{{{85 if knows else 43}}}"


def _judge(said: list[str]) -> str:
    if any(UNJUDGED in text for text in said):
        return "I cannot say."
    decision = "REJECT" if any("It is 43." in text for text in said) else "OK"
    return json.dumps({"reasoning": "as it is", "decision": decision})


def settings(folder: Path, url: str) -> list[str]:
    """A small hosted classroom, as the command lines of both name it."""
    (folder / "problems.csv").write_text(PROBLEMS)
    return [
        *(f"{role}_model.base_url={url}" for role in ("student", "judge")),
        *(f"{role}_model.model_name_or_path={role}" for role in ("student", "judge")),
        *(f"{role}_model.use_openrouter=false" for role in ("student", "judge")),
        f"dataset.eval_datasets=[{{name_or_path: {folder / 'problems.csv'}, split: train}}]",
        "generation.teacher_prompt_path=prompt_templates/teacher.txt",
        "generation.extra_penalty_for_rejected_judges=0.75",
        "generation.number_judge_attempts=1",
        "generation.number_initial_attempts=2",
        "generation.number_student_attempts=2",
        "engines.max_cost_usd=0",
    ]


def by_verifiers(folder: Path, place: Path, url: str, given: list[str]) -> list[dict[str, Any]]:
    """Every trace of `vf-eval`, with the package as it is installed."""
    installed = folder / "installed"
    subprocess.run(
        [str(place / "bin" / "pip"), "install", "-q", "--no-deps", "--no-build-isolation",
         "--target", str(installed), str(PACKAGE)],
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [str(place / "bin" / "vf-eval"), "tutor-classroom", "-m", "tutor", "-r", "2",
         "--client.base-url", url, "--client.api-key-var", "NO_KEY", "--no-push", "--no-rich",
         "--env.taskset.overrides", json.dumps(given), "-o", str(folder), "--run.name", "vf"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(installed), "NO_KEY": "x"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (folder / "vf" / "traces.jsonl").read_text().splitlines()
    return [trace for line in lines for trace in json.loads(line)["traces"]]


def by_us(folder: Path, url: str, given: list[str]) -> list[ConversationRecord]:
    """The records of our own evaluation."""
    done = subprocess.run(
        [sys.executable, "eval.py", "--config-name", "endpoint", f"teacher_model.base_url={url}",
         "teacher_model.model_name_or_path=tutor", "num_samples_per_problem=2", "run_name=ours",
         f"logging.save_dir={folder}", *given],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return load_run(folder / "ours")


@pytest.mark.slow  # it may install packages first
@pytest.mark.timeout(1800)  # a slow network, a busy machine
def test_the_same_conversations_and_rewards_as_ours(tmp_path: Path) -> None:
    place = environment()
    with Background() as loop:
        server = FaultServer(answer)
        loop.run(server.__aenter__())
        try:
            given = settings(tmp_path, server.base_url)
            traces = by_verifiers(tmp_path, place, server.base_url, given)
            ours = {(r.problem_id, r.sample): r for r in by_us(tmp_path, server.base_url, given)}
        finally:
            loop.run(server.__aexit__())
    assert len(traces) == len(ours) == 6
    seen = set()
    for trace in traces:
        theirs = ConversationRecord.model_validate(trace["info"]["conversation"])
        seen.add((theirs.problem_id, theirs.sample))
        mine = ours[theirs.problem_id, theirs.sample]
        varying = ("run", "timing", "usage", "step")
        assert theirs.model_dump(exclude=set(varying)) == mine.model_dump(exclude=set(varying))
        sampled = [n["message"]["content"] for n in trace["nodes"] if n["sampled"]]
        assert sampled == [m.content for m in mine.messages if m.role == "teacher"]
        if UNJUDGED in mine.problem:  # a missing verdict never counts
            assert mine.excluded and not trace["ok"] and not any(trace["rewards"].values())
            continue
        assert trace["ok"], trace["errors"]
        rewards = {name: r["score"] * r["weight"] for name, r in trace["rewards"].items()}
        assert rewards == {k: v for k, v in mine.rewards.items() if k != "total"}
        assert sum(rewards.values()) == pytest.approx(mine.rewards["total"])
        assert trace["metrics"]["leaked"] == float("29+14" in mine.problem)
    assert seen == set(ours)
