"""eval.py on real vLLM servers: a sweep from the command line to its report; both benchmarks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.schema import EvalConfig
from src.vllm.engines import MANIFEST_VARIABLE, EngineSet
from src.vllm.spec import plan_engines
from tests.conftest import ROOT
from tests.tiny import save_tiny_classifier
from utils.records import check, load_run
from utils.settings.hydra_entry import load_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = (
    "solve_before", "solve_after", "delta", "normalised_gain", "leaked", "rejected", "missing",
    "ped_rm_micro", "ped_rm_macro", "turns",
)  # fmt: skip
SMOLLM2 = (
    "teacher_model.model_name_or_path=embedded:smollm2-135m-instruct",
    "teacher_model.dtype=float32",
    "teacher_model.vllm.max_length=1536",
    "teacher_model.vllm.max_num_seqs=8",
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    return json.loads((folder / "metrics.json").read_text())


def test_a_sweep_is_run_once_and_reported_together(tmp_path: Path) -> None:
    sweep = (
        "eval.py", "--config-name=toy", "--multirun", "generation.max_turns=3,5", "run_name=s",
        "dataset.max_val_examples=6", "num_samples_per_problem=1",
        "generation.number_student_attempts=2", f"logging.save_dir={tmp_path}",
    )  # fmt: skip
    done = run(*sweep)
    assert done.returncode == 0, done.stderr[-3000:]
    folders = [tmp_path / "s-max_turns_3", tmp_path / "s-max_turns_5"]
    assert sorted(tmp_path.iterdir()) == folders
    for folder, most in zip(folders, (3, 5), strict=True):
        assert check(folder / "conversations.jsonl") == []
        records = load_run(folder)
        assert len(records) == 6 and max(len(r.messages) for r in records) <= most
        assert all(r.trajectory is not None and r.initial_solutions for r in records)
        found = metrics(folder)
        assert tuple(found)[:10] == NAMES
        assert found["turns"]["n"] == found["solve_after"]["n"] == 6
        assert "solve_after" in done.stdout and str(folder / "report.html") in done.stdout
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = run(*sweep)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("is finished; passed over") == 2
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    page = run("-m", "utils.report", "--paper", str(tmp_path))
    assert page.returncode == 0, page.stderr
    text = Path(page.stdout.strip()).read_text()
    assert '"label":"max_turns=3"' in text and '"front":' in text
    assert "DeepSeek-V3" in text  # a point of the paper's
    compared = run("-m", "utils.compare", *map(str, folders))
    assert compared.returncode == 0, compared.stderr
    assert "setting generation.max_turns: 3 -> 5" in compared.stdout
    assert "solve_after" in compared.stdout


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server of SmolLM2's for both benchmarks; the manifest that names it."""
    folder = tmp_path_factory.mktemp("engines")
    cfg = load_config("config/eval", EvalConfig, "reasoning", SMOLLM2)
    specs = [spec for spec in plan_engines(cfg) if "teacher" in spec.roles]
    with EngineSet(specs, cfg.engines, folder) as started:
        yield str(started.manifest)


def test_reasoning_asks_three_benchmarks(engines: str, shared_data: Path, tmp_path: Path) -> None:
    """GSM8K and MATH500 by real slices, MMLU (which no registry has) by rows of its format."""
    rows = [
        {"question": f"{n} + 1 = ?", "subject": "sums", "answer": 1,
         "choices": [str(n), str(n + 1), str(n + 2), "0"]} for n in range(60)
    ]  # fmt: skip
    mmlu = tmp_path / "mmlu.jsonl"
    mmlu.write_text("".join(json.dumps(row) + "\n" for row in rows))
    gsm8k = f"{{name_or_path: {shared_data}/gsm8k-train-600.jsonl, columns: {{problem: question}}"
    done = run(
        "eval.py", "--config-name=reasoning", *SMOLLM2, "run_name=r",
        "eval.few_shot=1", "eval.max_new_tokens=48", "dataset.max_val_examples=10",
        f"dataset.train_datasets=[{gsm8k}}}]",
        f"dataset.eval_datasets=[{gsm8k}, ratio: 0.1}},"
        f"{{name_or_path: {shared_data}/math500-100.jsonl, ratio: 0.4}},"
        f"{{name_or_path: {mmlu}, columns: {{problem: question, source: subject}}}}]",
        f"logging.save_dir={tmp_path}",
        **{MANIFEST_VARIABLE: engines},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    records = load_run(tmp_path / "r")
    assert {r.source for r in records} == {"gsm8k-train-600.jsonl", "math500-100.jsonl", "sums"}
    assert all(r.solutions[0].text and r.usage["teacher"].completion_tokens for r in records)
    found = metrics(tmp_path / "r")
    right = [r.solutions[0].correct for r in records]
    assert found["accuracy"]["mean"] == pytest.approx(sum(right) / 10)
    assert sum(found[f"accuracy_{s}"]["n"] for s in {r.source for r in records}) == 10
    assert "accuracy_sums" in done.stdout and (tmp_path / "r" / "report.html").exists()


def test_mathtutorbench_is_scored_beside_the_human(
    engines: str, shared_data: Path, tmp_path: Path
) -> None:
    """A real slice; Ped-RM's weights are on no registry: a tiny random classifier of its kind."""
    save_tiny_classifier(tmp_path / "ped_rm")
    done = run(
        "eval.py", "--config-name=mathtutorbench", *SMOLLM2, "run_name=m",
        "eval.max_new_tokens=32", "dataset.max_val_examples=5",
        f"dataset.eval_datasets=[{{name_or_path: {shared_data}/mathtutorbench-scaffolding-150.json,"
        " columns: {solution: reference_solution}}]",
        f"pedagogical_reward_model={tmp_path}/ped_rm",
        f"logging.save_dir={tmp_path}",
        **{MANIFEST_VARIABLE: engines},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    records = load_run(tmp_path / "m")
    assert len(records) == 5 and all(r.messages[-1].role == "teacher" for r in records)
    assert len({r.messages[-1].content for r in records}) == 5
    found = metrics(tmp_path / "m")
    wins = [r.ped_rm[-1] > r.extra["human_ped_rm"] for r in records]
    assert found["win_rate"]["mean"] == pytest.approx(sum(wins) / 5)
    assert found["ped_rm_micro"]["n"] == 5 and "win_rate" in done.stdout
