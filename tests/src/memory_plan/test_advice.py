"""What is proposed where a plan does not fit: one change or two, and what they cost."""

from __future__ import annotations

import re

import pytest

from config.errors import ConfigError
from src.memory_plan.plan import price
from tests.src.memory_plan.planned import Planned, planned

__all__ = ["planned"]  # the fixture


@pytest.mark.parametrize(
    ("argv", "setting"),
    [
        (("engines.residency=always",), "engines.residency"),
        (
            ("student_model.vllm.gpu_memory_utilization=0.05",),
            "student_model.vllm.gpu_memory_utilization",
        ),
        (("train.per_device_train_batch_size=32",), "train.per_device_train_batch_size"),
        (("train.gradient_checkpointing=false",), "train.gradient_checkpointing"),
    ],
)
def test_what_is_proposed_would_fit(planned: Planned, argv: tuple[str, ...], setting: str) -> None:
    with pytest.raises(ConfigError) as refused:
        planned("7b", *argv)
    said = str(refused.value)
    assert said.startswith(f"{setting}: ") and "\n" not in said
    found = re.search(r"; (\S+)=(\S+) would fit \(", said)
    assert found is not None and found[1] == setting
    kept = [override for override in argv if not override.startswith(setting)]
    assert planned("7b", *kept, f"{setting}={found[2]}")[0].fits


@pytest.mark.parametrize(
    ("config", "machine", "argv", "first"),
    [
        ("7b", {"gpus": 1}, (), "teacher_model.vllm.number_of_gpus_per_instance: 4 GPUs are ask"),
        ("7b", {"gpus": 3}, (), "teacher_model.vllm.number_of_gpus_per_instance: 4 GPUs are ask"),
        (
            "7b",
            {"gpus": 4},
            ("judge_model.vllm.number_of_gpus_per_instance=3",),
            "judge_model.vllm.number_of_gpus_per_instance: 3 GPUs cannot share 40 attention heads",
        ),
        ("7b_lora_1gpu", {"gpus": 8, "memory": 28}, (), "engines.residency: the teacher engine's"),
    ],
)
def test_two_changes_are_proposed_where_one_is_not_enough(
    planned: Planned, config: str, machine: dict[str, int], argv: tuple[str, ...], first: str
) -> None:
    """All settings that are named, typed as they stand there, make it fit."""
    with pytest.raises(ConfigError) as refused:
        planned(config, *argv, **machine)
    said = str(refused.value)
    assert said.startswith(first) and "\n" not in said
    found = re.search(r"; ((?:\S+=\S+ )+)would fit \(", said)
    assert found is not None, said
    assert planned(config, *argv, *found[1].split(), **machine)[0].fits


def test_nothing_is_proposed_that_a_run_would_refuse(planned: Planned) -> None:
    """`train.overlap` needs engines that stay awake: to let them sleep is no way out."""
    with pytest.raises(ConfigError) as refused:
        planned("7b", "train.overlap=true", "engines.residency=always")
    assert "engines.residency=phase" not in str(refused.value)
    assert "engines.residency=turn" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"engines.residency": "turn"}, "speed only"),
        ({"engines.residency": "turn", "teacher_model.vllm.max_length": "2048"}, "what is learnt"),
        ({"teacher_model.lora.enable": "true"}, "train.learning_rate of ten times"),
    ],
)
def test_what_a_proposal_costs_is_said(changes: dict[str, str], says: str) -> None:
    assert says in price(changes)


def test_little_ram_is_enough_for_one_process(planned: Planned) -> None:
    with pytest.raises(
        ConfigError, match=r"^engines\.backend: .*=transformers would fit \(speed only"
    ):
        planned("toy", gpus=0, ram=4)
    assert planned("toy", "engines.backend=transformers", gpus=0, ram=4)[0].fits


def test_what_nothing_can_make_fit_says_so(planned: Planned) -> None:
    with pytest.raises(ConfigError, match=r"^\S+: .* smaller model or a larger machine$"):
        planned("7b", gpus=1, memory=16)
