"""train_rl.py with named students, end to end: one scripted, one held out with its own model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.train_runs import BRIEF, run
from utils.records import load_run

PERSONA = "persona: prompt_templates/toy/student.txt"
pytestmark = pytest.mark.slow  # torch starts, and a tiny tutor is trained


def test_trains_on_some_and_evaluates_on_all(tmp_path: Path) -> None:
    measured = tmp_path / "students.json"
    measured.write_text(json.dumps({"a": {"selectivity": {"mean": -0.002}}}))
    command = [
        sys.executable, "train_rl.py", "--config-name=toy", "run_name=t",
        f"logging.save_dir={tmp_path}", "engines.backend=transformers", "train.max_steps=2",
        "train.number_of_problems_per_batch=4", "train.num_samples_per_problem=2",
        "train.per_device_train_batch_size=8", "train.eval_steps=2", "dataset.max_val_examples=3",
        f"generation.students_measured={measured}",
        f"+generation.students.a={{{PERSONA}, kind: archetype, weight: 3}}",
        f"+generation.students.b={{{PERSONA}, kind: adversarial, rounds: 1, "
        "replies: 'utils.students.pressure:direct_request'}",
        f"+generation.students.c={{{PERSONA}, held_out: true, model: {{vllm: {{top_k: 5}}}}}}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "a: selectivity -0.00 is below 0.3" in done.stderr + done.stdout
    records = load_run(tmp_path / "t")
    for step in (0, 1):
        met = [r for r in records if r.split == "train" and r.step == step]
        by_problem = {r.problem_id: r.student_persona for r in met}
        assert sorted(by_problem.values()) == ["a", "a", "a", "b"]
        assert all(r.student_persona == by_problem[r.problem_id] for r in met)
    last = [r for r in records if r.split == "eval" and r.step == 2]
    assert sorted(r.student_persona for r in last) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    for record in last:
        said = [m.content for m in record.messages if m.role == "student"]
        assert set(record.usage) == {
            "teacher", "student-c" if record.student_persona == "c" else "student",
        }  # fmt: skip
        if record.student_persona == "b" and said:
            assert "answer" in said[0] and record.student_rounds == 1
    found = json.loads((tmp_path / "t" / "metrics.json").read_text())["by"]["student"]
    assert found["(held out)"]["turns"]["n"] == 3 and found["(overall)"]["turns"]["n"] == 9
    logged = (tmp_path / "t" / "metrics.jsonl").read_text()
    assert "eval_students/(held out)/solve_after" in logged and "students/a/solve_after" in logged


@pytest.mark.timeout(1800)
def test_a_real_model_plays_archetypes_and_one_is_held_out(tmp_path: Path) -> None:
    """The launcher, real engines: who is held out is met in evaluations alone, and by name."""
    command = [
        "./start_rl_training.sh", "--config-name=smollm2_students", *BRIEF, "run_name=t",
        f"logging.save_dir={tmp_path}", "train.number_of_problems_per_batch=4",
        "train.num_samples_per_problem=2", "train.max_steps=1", "train.eval_steps=1",
        "dataset.max_val_examples=2",
    ]  # fmt: skip
    run(command, timeout=1500)
    records = load_run(tmp_path / "t")
    trained = [r for r in records if r.split == "train"]
    assert sorted(r.student_persona for r in trained) == [
        "pusher", "pusher", "shy", "shy", "subgoals", "subgoals", "subgoals", "subgoals",
    ]  # fmt: skip
    for record in trained:
        opened = next((m.content for m in record.messages if m.role == "student"), "")
        assert record.student_persona != "pusher" or "answer" in opened.lower()
    last = [r for r in records if r.split == "eval" and r.step == 1]
    assert {r.student_persona for r in last} == {"shy", "subgoals", "causes", "pusher"}
    assert all(r.student_held_out == (r.student_persona == "causes") for r in records)
    found = json.loads((tmp_path / "t" / "metrics.json").read_text())["by"]["student"]
    assert {"causes", "(held out)", "(overall)"} <= set(found)
