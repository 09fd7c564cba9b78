"""A classroom whose other seat is a small server on loopback: real HTTP, no model to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.schema import EvalConfig
from src.sit_in.command import DEFAULTS
from utils.settings.hydra_entry import load_config

PROBLEMS = "problem,answer\nWhat is 47+38?,85\nWhat is 29+14?,43\nWhat is 58+16?,74\n"


def settings(folder: Path, role: str, base_url: str, **more: Any) -> EvalConfig:
    """The toy's classroom with this role at an endpoint and three problems of a file."""
    (folder / "problems.csv").write_text(PROBLEMS)
    overrides = [
        f"{role}_model.base_url={base_url}",
        f"{role}_model.model_name_or_path=m",
        f"dataset.eval_datasets=[{{name_or_path: {folder / 'problems.csv'}}}]",
        f"logging.save_dir={folder / 'runs'}",
        "generation.number_student_attempts=2",
        "generation.judges_rules_prompts_paths.real_teaching=none",
        "generation.rules_only_reported=[]",
        *(f"{key}={value}" for key, value in more.items()),
    ]
    return load_config("config/eval", EvalConfig, "toy", [*DEFAULTS, *overrides])
