"""eval.py as a user starts it: results, exit codes, what is refused before a run has a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import EvalConfig
from src.evaluation.run import planned, prepare
from tests.conftest import ROOT
from tests.fault_server import FaultServer, ok
from tests.src.evaluation.hosted_runs import PROBLEMS, answer, command, finished, problems
from utils.records import ConversationRecord, check, load_run
from utils.settings.hydra_entry import load_config

__all__ = ["problems"]  # the fixture


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
