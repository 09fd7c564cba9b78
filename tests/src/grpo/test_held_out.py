"""Evaluation during training: when, on what, and which checkpoint is kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import TrainRLConfig, TrainSettings
from src.grpo.callbacks import PoliteStop
from src.grpo.held_out import EvaluateEvery, already_evaluated, check_best_metric, measured, pool
from src.grpo.trainer import ClassroomGRPOTrainer
from tests.src.grpo.fixed_update import build
from tests.synthetic import records
from tests.tiny import save_tiny_model
from utils.data.problems import Problem
from utils.metrics.conversation import summarise


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("reward_total", {2: 0.5, 4: 0.7, 6: 0.3, 8: 0.4}, 4),
        ("leaked", {2: 0.2, 4: 0.1, 6: 0.4, 8: 0.1}, 4),  # less is better; of two the first
        ("solve_after", {2: math.nan, 4: 0.1, 6: math.nan, 8: 0.0}, 4),  # NaN: it has no value
    ],
)
def test_the_best_checkpoint_is_kept(
    tmp_path: Path, metric: str, values: dict[int, float], best: int
) -> None:
    asked: list[int] = []

    def evaluate_held_out(step: int) -> dict[str, float]:
        asked.append(step)
        value = values.get(step, 9.0 if metric != "leaked" else 0.0)  # the start competes not
        return {} if math.isnan(value) else {metric: value, "turns": 3.0}

    every = EvaluateEvery(1, mu=2)
    settings = TrainSettings(
        per_device_train_batch_size=8,
        max_steps=8,
        mu=2,
        eval_steps=1,
        best_metric=metric,
        gradient_checkpointing=False,
    )
    model = save_tiny_model(tmp_path / "model", layers=1)
    trainer = build(str(model), tmp_path, settings, evaluate_held_out, (every,))
    trainer.args.save_steps, trainer.args.save_total_limit = 6, 1
    every.start = trainer.evaluate
    trainer.train()
    assert asked == [0, 2, 4, 6, 8]
    assert trainer.state.best_metric == values[best]
    kept = tmp_path / "checkpoints" / f"checkpoint-{best}"
    assert trainer.state.best_model_checkpoint == str(kept)
    assert (kept / "model.safetensors").is_file()
    logged = [row["eval_turns"] for row in trainer.state.log_history if "eval_turns" in row]
    assert len(logged) == sum(not math.isnan(v) for v in values.values()) + 1


def test_stopped_while_evaluating_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other batch begins; the resumed run knows the best, and evaluates nothing twice."""
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    model = save_tiny_model(tmp_path / "model", layers=1)
    asked: list[int] = []

    def run(told_at: int | None, checkpoint: Path | None) -> ClassroomGRPOTrainer:
        stop, every = PoliteStop(mu=2), EvaluateEvery(2, mu=2)

        def evaluate_held_out(step: int) -> dict[str, float]:
            asked.append(step)
            stop.told = step == told_at
            return {"reward_total": 1.0 / (step or 1)}  # the first of them is the best

        settings = TrainSettings(per_device_train_batch_size=8, max_steps=6, mu=2, eval_steps=2)
        trainer = build(str(model), tmp_path, settings, evaluate_held_out, (every, stop))
        trainer.args.save_total_limit = 1
        every.start = trainer.evaluate
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        return trainer

    first = tmp_path / "checkpoints" / "checkpoint-2"
    assert run(told_at=2, checkpoint=None).state.global_step == 2
    assert asked == [0, 2] and first.is_dir()
    state = run(told_at=None, checkpoint=first).state
    assert asked == [0, 2, 4, 6] and state.global_step == 6
    assert state.best_metric == 0.5 and state.best_model_checkpoint == str(first)
    assert (first / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("total", "reward_total"), ("solve", "solve_after"), ("rejected_by_x", "rejected")],
)
def test_a_metric_that_nobody_measures_is_refused(wrong: str, near: str) -> None:
    cfg = TrainRLConfig(train=TrainSettings(best_metric=wrong))
    with pytest.raises(ConfigError, match=f"^train.best_metric: no metric is called {wrong}.*"):
        check_best_metric(cfg)
    for right in ("leaked", "normalised_gain", "rejected_by_does_not_leak_answer"):
        check_best_metric(TrainRLConfig(train=TrainSettings(best_metric=right)))


def test_a_node_goes_on_with_its_own_problems_alone() -> None:
    everyone = records(4)
    problems = [Problem(id=r.problem_id, text="?", answer="1") for r in everyone]
    trained = records(4, split="train")
    assert already_evaluated([*trained, *everyone], problems[1::2]) == everyone[1::2]


def test_nodes_share_the_problems_and_their_means_are_those_of_all() -> None:
    everyone = records(30)
    parts = [measured(everyone[node::4]) for node in range(4)]
    whole = summarise(everyone)
    for name, mean in pool([*parts, {}]).items():
        assert mean == pytest.approx(whole[name].mean), name
    assert pool([{"a": (1.0, 1)}, {"a": (0.0, 3)}]) == {"a": 0.25}
