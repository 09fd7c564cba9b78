"""The card says what the model was made from, and nothing about the machine."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from config.schema import TrainRLConfig
from src.models.model_card import write_card
from utils.settings.hydra_entry import load_config


def test_a_card_states_base_data_lambda_mode_metrics_and_revision(tmp_path: Path) -> None:
    cfg = load_config("config/train_rl", TrainRLConfig, "7b")
    rows = [{"step": 1, "reward": 0.1, "kl": 0.0}, {"step": 2, "reward": 0.25}, {"step": 2, "x": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    text = write_card(cfg, tmp_path, tmp_path, "abc123").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "transformers",
        "tags": ["trl", "grpo", "tutoring"],
        "base_model": "Qwen/Qwen2.5-7B-Instruct",
        "datasets": ["rd211/Big-Math-RL-Verified-Filtered"],
    }
    for line in (
        "| lambda | 0.75, soft (reward minus lambda) |",
        "| reward | 0.25 (last training batch) |",
        "| KL to the starting tutor | 0 (last training batch) |",
        "| code | abc123 |",
        "| trained | all weights |",
    ):
        assert line in body


def test_no_path_of_this_machine(tmp_path: Path) -> None:
    cfg = load_config(
        "config/train_rl",
        TrainRLConfig,
        "7b_think",
        [
            f"teacher_model.model_name_or_path={tmp_path}/mine",
            f"student_model.model_name_or_path={tmp_path}",
        ],
    )
    text = write_card(cfg, tmp_path, tmp_path, None).read_text()
    assert str(tmp_path) not in text and "base_model" not in text
    assert "| base | mine |" in text and "hard (-lambda)" in text and "| thinking | yes |" in text
