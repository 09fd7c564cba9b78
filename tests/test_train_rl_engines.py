"""train_rl.py with real vLLM engines and ZeRO-3 on two ranks: killed, overlapped, with adapters."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.train_runs import (
    COIN,
    EVALUATES,
    check_record,
    held_out,
    kill_after_checkpoint,
    launcher,
    model,
    rollout_rows,
    run,
    sampled_by,
)
from utils.runs.folder import read_metrics

__all__ = ["model"]  # the fixture


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_launcher_with_real_engines_and_two_ranks(model: Path, tmp_path: Path) -> None:
    """vLLM servers, ZeRO-3 on two ranks, weights in place, SIGKILL, and on from the checkpoint."""
    steps = "train.max_steps=6"
    folder = tmp_path / "run"
    kill_after_checkpoint(launcher(model, tmp_path, steps, COIN), folder)
    said = run(launcher(model, tmp_path, steps, COIN), timeout=600)
    assert "goes on from checkpoint of step" in said
    check_record(folder, model, 3 * 2 * 4)
    rows = rollout_rows(folder)
    assert len(rows) == 3
    # vLLM's logprobs are the trainer's before and after updates that moved the weights a lot
    assert all(row["sampling/sampling_logp_difference/mean"] < 1e-4 for row in rows), rows
    assert max(abs(row.get("kl", 0.0)) for row in read_metrics(folder)) > 1e-3
    assert json.loads((folder / "model" / "config.json").read_text())["model_type"] == "qwen2"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_conversations_while_the_trainer_works(model: Path, tmp_path: Path) -> None:
    """train.overlap on real engines and two ranks, over two epochs, killed and gone on with in the
    second: each batch comes from the weights before those that it is trained on, an evaluation from
    its own; each epoch has every problem once."""
    more = (
        *("train.overlap=true", "engines.residency=always", "train.max_steps=8", *EVALUATES, COIN),
        *("dataset.max_train_examples=4", "logging.save_total_limit=10"),
    )
    folder = tmp_path / "run"
    kill_after_checkpoint(launcher(model, tmp_path, *more), folder, step=6)
    said = run(launcher(model, tmp_path, *more), timeout=600)
    from_step = int(said.partition("goes on from checkpoint of step ")[2].split()[0])
    held_at_once = {0, from_step}
    weights = {0: model} | {s: folder / "checkpoints" / f"checkpoint-{s}" for s in (2, 4, 6, 8)}
    records = check_record(folder, model, 4 * 2 * 4 + 5 * 3)
    assert list(held_out(folder)) == [0, 2, 4, 6, 8]
    met = Counter((r.step // 4, r.problem_id, r.sample) for r in records if r.split == "train")
    assert len(met) == 2 * 4 * 4 and set(met.values()) == {1}
    for r in records:
        fresh = r.split == "eval" or r.step in held_at_once
        assert sampled_by(weights[r.step if fresh else r.step - 2], r), r.key
        assert fresh or not sampled_by(weights[r.step], r), r.key
    for row in rollout_rows(folder):  # a row is logged after the first step on its batch
        gap = row["sampling/sampling_logp_difference/mean"]
        assert gap < 1e-4 if row["step"] - 1 in held_at_once else gap > 1e-3, row
        assert row["sampling/importance_sampling_ratio/max"] <= 3.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_adapters_with_real_engines_and_two_ranks(model: Path, tmp_path: Path) -> None:
    """Only the adapter is trained and handed over: the engine's logprobs are the trainer's before
    and after updates, the KL reference is the tutor without it, and `model` has it merged in."""
    from safetensors.torch import load_file

    lora = ("teacher_model.lora.enable=true", "teacher_model.lora.rank=4")
    small = (
        "train.max_steps=2",
        "train.mu=1",
        "train.learning_rate=0.03",
        "engines.residency=turn",
    )
    run(launcher(model, tmp_path, COIN, *lora, *small), timeout=600)
    folder = tmp_path / "run"
    rows = rollout_rows(folder)
    assert len(rows) == 2
    assert all(row["sampling/sampling_logp_difference/mean"] < 1e-4 for row in rows), rows
    kl = [row.get("kl", 0.0) for row in rows]
    assert abs(kl[0]) < 1e-6 and abs(kl[1]) > 1e-3
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    merged = load_file(folder / "model" / "model.safetensors")
    base = load_file(model / "model.safetensors")
    assert merged.keys() == base.keys()
    moved = {name for name in base if not merged[name].equal(base[name])}
    assert {name.split(".")[-2] for name in moved} <= {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    assert len(moved) > 7
