"""train_rl.py as a user runs it, with tiny random models: what it leaves behind must add up."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from tests.tiny import save_tiny_classifier
from tests.train_runs import check_record, held_out, model, python, rollout_rows, run, sampled_by
from utils.records import read
from utils.runs.folder import read_metrics

__all__ = ["model"]  # the fixture


HIDES = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in ("vllm", "deepspeed") else find(name, path, target)
PathFinder.find_spec = staticmethod(find_spec)
"""


def test_in_one_process_with_evaluation(model: Path, tmp_path: Path) -> None:
    """By one setting, and on a machine that has neither vLLM nor DeepSpeed."""
    (tmp_path / "sitecustomize.py").write_text(HIDES)
    more = [
        "train.max_steps=6",
        "train.eval_steps=1",  # rounded up to mu
        "train.best_metric=rejected_by_odd",
        "dataset.max_val_examples=5",
        "+generation.judges_rules_prompts_paths.odd=tests.rules:odd",
        "logging.save_steps=6",
    ]
    said = run(python(model, tmp_path, *more), PYTHONPATH=str(tmp_path))
    folder = tmp_path / "run"
    assert "reward: total" in said and str(folder) in said
    evaluations = held_out(folder)
    assert list(evaluations) == [0, 2, 4, 6]
    problems = {r.problem_id for r in evaluations[0]}
    assert len(problems) == 4
    assert all({r.problem_id for r in each} == problems for each in evaluations.values())
    assert all(len(r.initial_solutions) for each in evaluations.values() for r in each)
    # each is held with the weights of its step, and stands in the curve
    assert all(sampled_by(folder / "model", r) for r in evaluations[6])
    assert not any(sampled_by(folder / "model", r) for r in evaluations[0])
    assert all(sampled_by(model, r) for r in evaluations[0])
    curve = {row["step"]: row for row in read_metrics(folder) if "eval_turns" in row}
    means = {
        step: sum(r.verdicts["odd"][0].decision == "REJECT" for r in each) / 4
        for step, each in evaluations.items()
    }
    assert {s: row["eval_rejected_by_odd"] for s, row in curve.items()} == pytest.approx(means)
    best = min([2, 4, 6], key=lambda step: means[step])
    assert f"checkpoint-{best} " in said
    kept = {int(p.name.rpartition("-")[2]) for p in folder.glob("checkpoints/checkpoint-*")}
    assert kept == {best, 6}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rejected_by_odd"]["mean"] == pytest.approx(means[6])
    page = (folder / "report.html").read_text()
    shown = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    drawn = [c for c in shown["runs"][0]["curves"] if c["from"] == "eval"]
    assert [p[0] for c in drawn if c["name"] == "solve_after" for p in c["points"]] == [0, 2, 4, 6]
    records = check_record(folder, model, 3 * 2 * 4 + 4 * 4)
    assert {r.step for r in records if r.split == "train"} == {0, 2, 4}
    rows = rollout_rows(folder)
    assert len(rows) == 3
    # the sampler is the trained module: its logprobs are the trainer's
    assert all(row["sampling/sampling_logp_difference/max"] < 1e-3 for row in rows)
    assert (folder / "model" / "model.safetensors").is_file()
    assert (folder / "finished").exists()


def test_collecting_trains_nothing(model: Path, tmp_path: Path) -> None:
    run(python(model, tmp_path, "train.collect_only=true", "train.max_steps=2"))
    records = list(read(tmp_path / "run" / "conversations.jsonl"))
    assert len(records) == 2 * 2 * 4
    assert not (tmp_path / "run" / "model").exists()


def test_a_reward_model_scores_the_solutions(model: Path, tmp_path: Path) -> None:
    judge = save_tiny_classifier(tmp_path / "judge")
    more = (f"reward_model.model_name_or_path={judge}", "train.collect_only=true")
    run(python(model, tmp_path, *more, "train.max_steps=1"))
    records = list(read(tmp_path / "run" / "conversations.jsonl"))
    scores = {s.score for r in records for s in r.solutions}
    assert len(scores) > 1 and all(0.0 < score < 1.0 for score in scores)
    for r in records:
        assert r.rewards["solve"] == pytest.approx(fmean(s.score for s in r.solutions))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("generation.extra_penalty_for_rejected_judge=1", "extra_penalty_for_rejected_judges"),
        ("generation.extra_penalty_for_rejected_judges=-1", "generation.extra_penalty_for_rej"),
        ("train.mu=two", "train.mu"),
        ("dataset.train_datasets=[{name_or_path: no/such.jsonl}]", "dataset.train_datasets[0]"),
        ("student_model.model_name_or_path=/no/such/model", "student_model.model_name_or_path"),
        ("reward_model.model_name_or_path=/no/such/model", "reward_model.model_name_or_path"),
        ("generation.teacher_prompt_path=no.txt", "generation.teacher_prompt_path"),
        ("train.number_of_problems_per_batch=900", "train.number_of_problems_per_batch"),
    ],
)
def test_a_wrong_setting_is_one_line(model: Path, tmp_path: Path, wrong: str, words: str) -> None:
    said = run(python(model, tmp_path, wrong), code=2)
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and words in errors[0], said
    assert "Traceback" not in said
