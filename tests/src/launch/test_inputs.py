"""Prompts, rules and problems are read before anything starts, and nothing is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, TrainRLConfig
from src.launch.inputs import input_faults, is_hub_id, read_inputs
from utils.settings.hydra_entry import ROOT, load_config


def settings(*overrides: str) -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, "toy", overrides)


def test_the_default_run_reads() -> None:
    read_inputs(settings())


def test_each_input_at_fault_is_named(tmp_path: Path) -> None:
    prompt, empty = tmp_path / "teacher.txt", tmp_path / "empty.csv"
    prompt.write_text("{{ problem }} {{ nobody }}")
    empty.write_text("problem,answer\n1+1,2\n1+1,\n")
    for override, begins in (
        (f"generation.teacher_prompt_path={prompt}", "generation.teacher_prompt_path: "),
        ("+generation.judges_rules_prompts_paths.mine=no.such:rule", "generation.judges_rules"),
        ("dataset.train_datasets=[{name_or_path: x.csv}]", "dataset.train_datasets[0].name"),
        (f"dataset.train_datasets=[{{name_or_path: {empty}}}]", "dataset.train_datasets[0]"),
        ("dataset.eval_datasets=[{name_or_path: 'no.such:rows'}]", "dataset.eval_datasets[0]"),
        ("dataset.max_train_examples=1", "train.number_of_problems_per_batch: "),
    ):
        with pytest.raises(ConfigError) as refusal:
            read_inputs(settings(override))
        assert str(refusal.value).startswith(begins), override
        assert "\n" not in str(refusal.value)


def test_a_dataset_of_the_hub_is_not_fetched() -> None:
    cfg = settings("dataset.train_datasets=[{name_or_path: some/data}]", "train.eval_steps=0")
    assert [what for what, _ in input_faults(cfg)] == ["prompts, rules", "chat templates"]
    assert is_hub_id(DatasetEntry(name_or_path="owner/data.v1"))
    for name in ("data/x.csv", "./data", "reasoning_gym:a/b", "toy.problems:rows", "config/eval"):
        assert not is_hub_id(DatasetEntry(name_or_path=name)), name


READS = """
import json, sys
from src.launch.inputs import input_faults
from tests.src.launch.test_inputs import settings
faults = [[what, str(error)] for what, error in input_faults(settings(*sys.argv[1:]))]
print(json.dumps([faults, [name for name in ("torch", "transformers") if name in sys.modules]]))
"""


def test_templates_are_read_without_torch_and_say_the_same(tmp_path: Path) -> None:
    """A start needs no torch before its training; in this process transformers is there already."""
    import transformers  # noqa: F401

    broken = tmp_path / "broken"
    shutil.copytree(ROOT / "toy/checkpoints/student", broken)
    (broken / "chat_template.jinja").write_text("{{ raise_exception('only odd turns') }}")
    overrides = f"student_model.model_name_or_path={broken}"
    for given in ([], [overrides]):
        done = subprocess.run(
            [sys.executable, "-c", READS, *given],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        faults, imported = json.loads(done.stdout)
        assert faults == [[what, str(error)] for what, error in input_faults(settings(*given))]
        assert imported == [] and done.stderr == ""
    assert "only odd turns" in dict(faults)["chat templates"]
