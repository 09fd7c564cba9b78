"""eval.py with models in its own process: token records, Ped-RM, shaded report, MathTutorBench."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.src.evaluation.benchmark_checkout import (
    DIALOG,
    SOCRATIC,
    STEPVERIFY,
    save_checkout,
    save_rows,
)
from tests.tiny import save_tiny_classifier, save_tiny_model
from utils.records import load_run

pytestmark = pytest.mark.slow  # torch and transformers start twice


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tutor`, a tiny random chat model, and `ped_rm`, a classifier on its tokenizer."""
    folder = tmp_path_factory.mktemp("models")
    save_tiny_model(folder / "tutor")
    save_tiny_classifier(folder / "ped_rm")
    return folder


def run(models: Path, runs: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "eval.py",
        "--config-name=smollm2",
        "run_name=e",
        f"logging.save_dir={runs}",
        "engines.backend=transformers",
        *(f"{role}_model.model_name_or_path={models / 'tutor'}" for role in ("teacher", "student")),
        "score_using_pedagogical_reward=true",
        f"pedagogical_reward_model={models / 'ped_rm'}",
        *more,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


def test_classroom_keeps_tokens_and_scores_every_tutor_turn(models: Path, tmp_path: Path) -> None:
    more = [
        "dataset.max_val_examples=4",
        "eval.control=none",
        "generation.max_tokens_per_turn=12",
        "generation.max_tokens_per_student_attempt=12",
        "generation.max_tokens_in_conversation=2000",  # a token of this model is a byte
        "teacher_model.vllm.max_length=2048",
        "student_model.vllm.max_length=2048",
    ]
    done = run(models, tmp_path, *more)
    assert done.returncode == 0, done.stderr
    records = load_run(tmp_path / "e")
    assert len(records) == 4
    for record in records:
        assert record.trajectory is not None and sum(record.trajectory.mask) > 0
        assert len(record.ped_rm) == sum(m.role == "teacher" for m in record.messages)
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    scores = [score for record in records for score in record.ped_rm]
    assert metrics["ped_rm_micro"]["n"] == len(scores)
    assert metrics["ped_rm_micro"]["mean"] == pytest.approx(sum(scores) / len(scores))
    page = (tmp_path / "e" / "report.html").read_text()
    first = re.search(r'class="data-talk">(.*?)</script>', page)
    assert first
    bodies = json.loads(gzip.decompress(base64.b64decode(first[1])))
    shaded = [m for body in bodies for m in body["messages"] if "pieces" in m]
    assert len(shaded) == len(scores)
    assert all(len(m["pieces"]) == len(m["logprobs"]) for m in shaded)


def test_mathtutorbench_wins_and_losses(models: Path, tmp_path: Path) -> None:
    rows = [
        {
            "problem": f"What is {n} + 1?",
            "reference_solution": f"Add one.\n {n + 1}",
            "dialog_history": [
                {"user": "Teacher", "text": "Tell me."},
                {"user": "Student", "text": "It is 9."},
                {"user": "Teacher", "text": f"How do you get 9 from {n}?"},
            ],
        }
        for n in range(4)
    ]
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows))
    entry = f"{{name_or_path: {data}, columns: {{solution: reference_solution}}}}"
    more = ["eval.task=mathtutorbench", "eval.max_new_tokens=16",
            f"dataset.eval_datasets=[{entry}]"]  # fmt: skip
    done = run(models, tmp_path / "runs", *more)
    assert done.returncode == 0, done.stderr
    records = load_run(tmp_path / "runs" / "e")
    metrics = json.loads((tmp_path / "runs" / "e" / "metrics.json").read_text())
    wins = [r.ped_rm[-1] > r.extra["human_ped_rm"] for r in records]
    assert len(wins) == 4 and metrics["win_rate"]["mean"] == pytest.approx(sum(wins) / 4)
    assert metrics["ped_rm_micro"]["n"] == 4  # the generated turn only


def test_mathtutorbench_as_its_leaderboard_has_it(models: Path, tmp_path: Path) -> None:
    """Tasks of every kind from a checkout, in one run: its texts, its data, its numbers."""
    checkout = save_checkout(tmp_path / "checkout")
    rows = save_rows(tmp_path / "rows.jsonl", [STEPVERIFY[0] | SOCRATIC[0] | DIALOG[1]
                                               | {"answer": SOCRATIC[0]["answer"]}])  # fmt: skip
    tasks = "socratic_questioning,mistake_location,mistake_correction,pedagogy_following"
    more = ["eval.task=mathtutorbench", f"eval.tasks=[{tasks}]", "eval.max_new_tokens=12",
            f"eval.mathtutorbench_path={checkout}",
            f"dataset.eval_datasets=[{{name_or_path: {rows}}}]",
            "teacher_model.vllm.temperature=0.0", "teacher_model.vllm.max_length=2048"]  # fmt: skip
    done = run(models, tmp_path / "runs", *more)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "runs" / "e" / "metrics.json").read_text())
    for name in ("bleu_socratic_questioning", "f1_micro_mistake_location",
                 "accuracy_mistake_correction", "win_rate_pedagogy_following"):  # fmt: skip
        assert metrics[name]["n"] >= 1 and name in done.stdout
    [record] = [r for r in load_run(tmp_path / "runs" / "e") if r.ped_rm]
    assert record.ped_rm_prompt.endswith("+reference")
    assert metrics["ped_rm_micro"]["comparable"] is False, "its text is the test's own"
    assert len(metrics["notes"]) == 1 and "not comparable with published scores" in done.stdout
    assert (
        "not comparable with published scores"
        in (tmp_path / "runs" / "e" / "report.html").read_text()
    )


def test_ped_rm_that_is_not_there_is_said_before_anything_runs(
    models: Path, tmp_path: Path
) -> None:
    done = run(models, tmp_path, f"pedagogical_reward_model={tmp_path / 'none'}")
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and "pedagogical_reward_model" in lines[0]
    assert not (tmp_path / "e").exists()
