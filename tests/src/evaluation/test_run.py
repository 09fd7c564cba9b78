"""eval.py as a user starts it, its models played by a server over real HTTP; killed and resumed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import EvalConfig
from src.evaluation.run import planned, prepare
from tests.conftest import ROOT
from tests.fault_server import Behaviour, FaultServer, ok, status
from utils.records import ConversationRecord, check, load_run
from utils.seeding import keyed_rng
from utils.settings.hydra_entry import load_config

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


async def test_results_and_exit_code(problems: Path, tmp_path: Path) -> None:
    more = ["eval.control=retry", "eval.report=true"]
    async with FaultServer(lambda number, body: answer(body)) as server:
        code, out, err = await finished(command(server, problems, tmp_path / "runs", *more))
    assert code == 0, err
    folder = tmp_path / "runs" / "e"
    metrics = json.loads((folder / "metrics.json").read_text())
    records = load_run(folder)
    assert len(records) == PROBLEMS and check(folder / "conversations.jsonl") == []
    after = [sum(s.correct for s in r.solutions) / len(r.solutions) for r in records]
    assert metrics["solve_after"]["mean"] == pytest.approx(sum(after) / PROBLEMS)
    assert metrics["solve_before"]["n"] == metrics["delta"]["n"] == PROBLEMS
    assert metrics["ped_rm_micro"] == {
        "mean": None, "se": None, "n": 0, "clusters": 0, "low": None, "high": None,
    }  # fmt: skip
    assert metrics["control_difference"]["n"] == PROBLEMS
    assert set(metrics["by"]["type"]) <= {"guided", "attempted"}
    assert "solve_after" in out and "report.html" in out
    assert (folder / "report.html").stat().st_size > 50_000
    assert (folder / "finished").exists()
    # the control arm: as many solutions, no tutor, after the student's own attempt
    control = load_run(folder / "control")
    assert [len(r.solutions) for r in control] == [2] * PROBLEMS
    asked = [b["messages"] for b in server.requests if "on your own. Now" in str(b["messages"][-1])]
    assert len(asked) == 2 * PROBLEMS
    assert all([m["role"] for m in a][-3:] == ["user", "assistant", "user"] for a in asked)


async def test_wandb_hears_the_means_offline_without_a_key(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)  # the tests' own: disabled
    more = ["logging.wandb=true", "dataset.max_val_examples=2"]
    async with FaultServer(lambda number, body: answer(body)) as server:
        code, _, err = await finished(command(server, problems, tmp_path, *more))
    assert code == 0, err
    [record] = (tmp_path / "e" / "wandb").glob("offline-run-*/*.wandb")
    assert b"eval/solve_after" in record.read_bytes()


async def test_killed_and_started_again_asks_nothing_twice(problems: Path, tmp_path: Path) -> None:
    more = ["generation.max_concurrent_conversations=3", "num_samples_per_problem=1"]
    async with FaultServer(lambda number, body: answer(body)) as server:
        whole = command(server, problems, tmp_path / "whole", *more)
        assert (await finished(whole))[0] == 0
        once = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    moment = random.randint(1, sum(once.values()) - 10)
    print(f"killed at request {moment} of {sum(once.values())}")  # shown where this fails

    async with FaultServer(lambda number, body: answer(body, after_s=0.01)) as server:
        arguments = command(server, problems, tmp_path / "killed", *more)
        folder = tmp_path / "killed" / "e"
        process = await start(arguments)
        while len(server.requests) < moment:
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        before = len(server.requests)
        kept = load_run(folder)
        assert len(kept) < PROBLEMS
        with (folder / "conversations.journal.jsonl").open("a") as journal:
            journal.write('{"half a li')  # as a kill in the middle of a write leaves it
        code, _, err = await finished(arguments)
        assert code == 0, err
        paid = Counter(json.dumps(body, sort_keys=True) for body in server.requests)

    assert essence(folder) == essence(tmp_path / "whole" / "e")
    again = {request for request, times in paid.items() if times > once[request]}
    assert set(paid) == set(once)
    # at most three conversations were in flight; none of the finished ones was asked again
    assert len({_problem(request) for request in again}) <= 3
    assert not {_problem(request) for request in again} & {r.problem for r in kept}
    assert before < sum(paid.values())


def _problem(request: str) -> str:
    found = re.search(r"What is \d+ \+ \d+\?", request)
    assert found
    return found[0]


async def test_interrupted_reports_on_what_there_is(problems: Path, tmp_path: Path) -> None:
    more = ["generation.max_concurrent_conversations=2"]
    pace = [0.03]
    async with FaultServer(lambda number, body: answer(body, after_s=pace[0])) as server:
        arguments = command(server, problems, tmp_path, *more)
        folder = tmp_path / "e"
        process = await start(arguments)
        while not folder.exists() or len(load_run(folder)) < 3:
            assert process.returncode is None
            await asyncio.sleep(0.01)
        pace[0] = 60.0  # nothing more is finished, however long the signal takes
        process.send_signal(signal.SIGINT)
        out, err = (part.decode() for part in await process.communicate())
        assert process.returncode == 130, err
        assert "Traceback" not in err
        metrics = json.loads((folder / "metrics.json").read_text())
        assert 3 <= metrics["turns"]["n"] < PROBLEMS
        assert "stopped after" in out and not (folder / "finished").exists()
        pace[0] = 0.0
        assert (await finished(arguments))[0] == 0
    assert len(load_run(folder)) == PROBLEMS


async def test_refused_key_ends_in_one_line_with_results_kept(
    problems: Path, tmp_path: Path
) -> None:
    def script(number: int, body: dict[str, Any]) -> Behaviour:
        return answer(body) if number < 40 else status(401, "no such key")

    more = ["generation.max_concurrent_conversations=1"]
    async with FaultServer(script) as server:
        code, _, err = await finished(command(server, problems, tmp_path, *more))
    assert code == 1
    assert "401" in err and "Traceback" not in err
    held = load_run(tmp_path / "e")
    assert 0 < len(held) < PROBLEMS
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["turns"]["n"] == len(held)


IN_FLIGHT = 4  # at most, of the two conversations


async def test_a_cap_stops_with_results_kept_and_a_higher_one_goes_on(
    problems: Path, tmp_path: Path
) -> None:
    more = ["generation.max_concurrent_conversations=2"]
    cap = "engines.max_requests=60"
    folder = tmp_path / "e"
    async with FaultServer(lambda number, body: answer(body)) as server:
        arguments = command(server, problems, tmp_path, *more)
        code, _, err = await finished([*arguments, cap])
        # a request counts once it is let through; one that the cap then cancels is never sent
        first = len(server.requests)
        assert code == 1 and 60 - IN_FLIGHT <= first <= 60
        errors = [line for line in err.splitlines() if line.startswith("error:")]
        assert errors == ["error: engines.max_requests: 60 requests are made"]
        assert "Traceback" not in err
        held = load_run(folder)
        assert 0 < len(held) < PROBLEMS
        assert json.loads((folder / "metrics.json").read_text())["turns"]["n"] == len(held)
        # what the record says was spent counts: the same cap admits no second 60 requests
        paid = sum(u.requests for r in held for u in r.usage.values())
        code, _, _ = await finished([*arguments, cap])
        assert code == 1 and 60 - paid - IN_FLIGHT <= len(server.requests) - first <= 60 - paid
        # a cap changes no result, so the run goes on with a higher one
        assert (await finished([*arguments, "engines.max_requests=1000"]))[0] == 0
    assert len(load_run(folder)) == PROBLEMS


async def test_retry_without_first_attempts_is_refused_before_anything(
    problems: Path, tmp_path: Path
) -> None:
    async with FaultServer([ok()]) as server:
        more = ["eval.control=retry", "recompute_initial_attempts=false"]
        code, _, err = await finished(command(server, problems, tmp_path, *more))
        assert server.requests == []
    assert code == 2
    assert err.strip().splitlines()[-1].count("eval.control") == 1
    assert len(err.strip().splitlines()) == 1


REFUSED = [
    ("toy", "dataset.eval_datasets=[{name_or_path: a/b.jsonl}]",
     "dataset.eval_datasets[0].name_or_path: no such file: a/b.jsonl"),
    ("toy", "dataset.eval_datasets=[{name_or_path: tests/data/answers.jsonl}]",
     f"dataset.eval_datasets[0].columns.problem: {ROOT}/tests/data/answers.jsonl has no column"),
    ("toy", "teacher_model.model_name_or_path=runs/nothing/model",
     "teacher_model.model_name_or_path: no such folder: runs/nothing/model"),
    ("toy", "student_model.model_name_or_path=tests",
     "student_model.model_name_or_path: no model is in tests (it has no config.json)"),
    ("GPT-4o", "seed=1",
     "teacher_model.use_openrouter: needs the environment variable OPENROUTER_API_KEY"),
    ("toy", "dataset.eval_datasets=[]", "dataset.eval_datasets: no dataset is named"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "override", "line"), REFUSED, ids=lambda value: value[-30:])
def test_what_cannot_be_is_refused_before_the_run_has_a_folder(
    name: str, override: str, line: str
) -> None:
    cfg = load_config("config/eval", EvalConfig, name, [override])
    with pytest.raises(ConfigError) as refusal:
        prepare(cfg)
        planned(cfg)
    assert str(refusal.value).startswith(line)


async def test_a_mended_setting_can_keep_the_runs_name(problems: Path, tmp_path: Path) -> None:
    """What was refused has left no unfinished run of that name."""
    async with FaultServer([ok()]) as server:
        wrong = command(server, problems.with_name("none.jsonl"), tmp_path / "runs")
        code, _, err = await finished(wrong)
        assert server.requests == []
    assert code == 2 and len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "runs").exists()


async def test_reasoning_answers_are_records(problems: Path, tmp_path: Path) -> None:
    more = ["eval.task=reasoning", "eval.few_shot=2",
            f"dataset.train_datasets=[{{name_or_path: {problems}}}]"]  # fmt: skip
    async with FaultServer(lambda number, body: answer(body)) as server:
        code, out, err = await finished(command(server, problems, tmp_path, *more))
    assert code == 0, err
    records: list[ConversationRecord] = load_run(tmp_path / "e")
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    right = [r.solutions[0].correct for r in records]
    assert metrics["accuracy"]["mean"] == pytest.approx(sum(right) / PROBLEMS)
    assert metrics["accuracy"]["n"] == PROBLEMS and next(iter(metrics)) == "accuracy"
    assert "accuracy" in out and "tutor_tokens" not in out  # the table is the benchmark's
    assert all(len(body["messages"]) == 5 for body in server.requests)  # two worked examples
