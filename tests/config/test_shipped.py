"""Every shipped config of every script parses, and holds what the paper says."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.schema import TrainRLConfig
from src.memory_plan.arithmetic import BUCKET, LIVE_PARAMETERS, SUB_GROUP
from tests.config.scripts import SCHEMAS
from utils.settings.hydra_entry import load_config

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [(f, p.name) for f in SCHEMAS for p in sorted((ROOT / "config" / f).glob("*.yaml"))]
ACCELERATE = sorted((ROOT / "config/deepspeed").glob("*.yaml"))


@pytest.mark.parametrize(("folder", "name"), SHIPPED)
def test_shipped_config_is_valid(folder: str, name: str) -> None:
    settings = load_config(f"config/{folder}", SCHEMAS[folder], name)
    assert isinstance(settings, SCHEMAS[folder])


def test_7b_is_the_papers() -> None:
    settings = load_config("config/train_rl", TrainRLConfig, "7b.yaml")
    train, generation = settings.train, settings.generation
    assert settings.teacher_model.model_name_or_path == "Qwen/Qwen2.5-7B-Instruct"
    assert "Llama-3.1-8B-Instruct" in settings.student_model.model_name_or_path
    assert settings.judge_model.model_name_or_path == "Qwen/Qwen2.5-14B-Instruct-AWQ"
    assert (train.number_of_problems_per_batch, train.num_samples_per_problem) == (16, 8)
    assert (train.learning_rate, train.beta, train.mu, train.epsilon) == (5e-7, 0.001, 2, 0.2)
    assert generation.extra_penalty_for_rejected_judges == 0.75
    assert generation.ignore_rejected_judge is True
    assert not generation.use_thinking
    assert (generation.number_student_attempts, generation.number_judge_attempts) == (8, 2)
    assert generation.max_turns == 16
    temperatures = [
        settings.teacher_model.vllm.temperature,
        settings.student_model.vllm.temperature,
        settings.judge_model.vllm.temperature,
    ]
    assert temperatures == [1.0, 0.6, 0.6]
    assert set(generation.judges_rules_prompts_paths) == {
        "does_not_leak_answer",
        "follows_pedagogical_values",
    }


def test_7b_think_is_hard_and_thinks() -> None:
    settings = load_config("config/train_rl", TrainRLConfig, "7b_think")
    generation = settings.generation
    assert generation.ignore_rejected_judge is False
    assert generation.extra_penalty_for_rejected_judges == 1.0
    assert generation.use_thinking
    assert generation.force_thinking
    assert settings.train.learning_rate == 5e-7  # the rest is 7b's


def test_default_needs_no_judge_model() -> None:
    settings = load_config("config/train_rl", TrainRLConfig, "smollm2")
    assert settings.generation.judges_rules_prompts_paths == {"does_not_leak_answer": "matcher"}


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda p: p.stem)
def test_accelerate_reads_its_config(path: Path) -> None:
    """By accelerate's own reader and parser, as `accelerate launch` would complete them."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    parsed = launch_command_parser().parse_args(["--config_file", str(path), "train_rl.py"])
    arguments, defaults, _ = _validate_launch_command(parsed)
    stage = int(path.stem[4]) if path.stem.startswith("zero") else 2
    assert arguments.use_deepspeed
    assert int(arguments.zero_stage) == stage
    assert arguments.num_processes == {"1GPU": 1}.get(path.stem, 4 if "4GPU" in path.stem else 2)
    assert bool(defaults.use_cpu) == path.stem.endswith("_cpu")
    assert arguments.mixed_precision == ("no" if path.stem.endswith("_cpu") else "bf16")


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda p: p.stem)
def test_deepspeed_reads_what_accelerate_gives_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the file over accelerate's launcher and its plugin to DeepSpeed's own config class."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import DeepSpeedPlugin
    from accelerate.utils.launch import prepare_deepspeed_cmd_env

    parsed = launch_command_parser().parse_args(["--config_file", str(path), "train_rl.py"])
    arguments, defaults, _ = _validate_launch_command(parsed)
    arguments.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
    _, environment = prepare_deepspeed_cmd_env(arguments)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    from deepspeed import DeepSpeedConfig

    plugin = DeepSpeedPlugin()
    plugin.set_mixed_precision(arguments.mixed_precision)
    batch = {"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4}
    read = DeepSpeedConfig({**plugin.deepspeed_config, **batch, "train_batch_size": 8})
    on_cpu = path.stem.endswith("_cpu")
    assert read.zero_config.stage == (int(path.stem[4]) if path.stem.startswith("zero") else 2)
    assert read.bfloat16_config.enabled == (not on_cpu) and not read.float16_config.enabled
    assert read.zero_config.offload_optimizer.device == "none"
    assert read.zero_config.offload_param.device == "none"
    # what the memory plan counts with (src/memory_plan/arithmetic.py)
    assert read.zero_config.reduce_bucket_size == BUCKET
    assert read.zero_config.max_live_parameters == LIVE_PARAMETERS
    assert read.zero_config.sub_group_size == SUB_GROUP
