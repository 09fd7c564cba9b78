"""The documented command line, sorted: accelerate's flags, Hydra's, ours, the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from src.launch.arguments import Arguments, parse, plan_ranks, refuse_missing_gpus


def sort(*argv: str) -> Arguments:
    return parse(argv, config_name="default")


def test_the_documented_arguments() -> None:
    found = sort(
        "--config_file",
        "config/deepspeed/zero3_4GPU.yaml",
        "--config-name",
        "7b.yaml",
        "generation.extra_penalty_for_rejected_judges=0.75",
        "generation.ignore_rejected_judge=false",
    )
    assert found == Arguments(
        accelerate=["--config_file", "config/deepspeed/zero3_4GPU.yaml"],
        config_name="7b.yaml",
        overrides=[
            "generation.extra_penalty_for_rejected_judges=0.75",
            "generation.ignore_rejected_judge=false",
        ],
    )
    ranks = plan_ranks(found, gpus=4)
    assert ranks.flags == [*found.accelerate, "--main_process_port", "0"]
    assert (ranks.processes, ranks.machines, ranks.on_cpu) == (4, 1, False)


def test_accelerates_flags_in_any_place_and_spelling() -> None:
    found = sort(
        *("train.mu=1", "--num-processes=2", "--config_file", "config/deepspeed/zero3_cpu.yaml"),
        *("--debug", "~generation.student_names", "--mixed_precision", "no"),
    )
    assert found.overrides == ["train.mu=1", "~generation.student_names"]
    assert found.accelerate_value("--num_processes") == "2"
    assert plan_ranks(found, gpus=0).processes == 2
    assert "--debug" in found.accelerate


def test_many_nodes_keep_their_port() -> None:
    found = sort(
        *("--config_file", "config/deepspeed/zero3_4GPU.yaml", "--num_machines", "2"),
        *("--machine_rank", "1", "--main_process_ip", "10.0.0.1", "--main_process_port", "29500"),
        *("--num_processes", "8"),
    )
    ranks = plan_ranks(found, gpus=4)
    assert ranks.flags == found.accelerate
    assert (ranks.processes, ranks.machines, ranks.machine_rank) == (8, 2, 1)
    refuse_missing_gpus(ranks, gpus=4)
    with pytest.raises(ConfigError, match=r"^--config_file: asks for 4 GPUs"):
        refuse_missing_gpus(ranks, gpus=2)


@pytest.mark.parametrize(
    ("gpus", "file", "processes"),
    [(0, "zero3_cpu", 2), (1, "1GPU", 1), (2, "zero3_4GPU", 2), (4, "zero3_4GPU", 4)],
)
def test_a_machine_gets_its_config_file(gpus: int, file: str, processes: int) -> None:
    ranks = plan_ranks(sort(), gpus=gpus)
    assert ranks.flags[:2] == ["--config_file", f"config/deepspeed/{file}.yaml"]
    assert ranks.processes == processes
    refuse_missing_gpus(ranks, gpus)


def test_hydras_flags_keep_their_meaning() -> None:
    found = sort("-m", "--config-dir", "mine", "-cn", "x", "--dry-run", "train.mu=1,2")
    assert (found.multirun, found.config_dir, found.config_name) == (True, "mine", "x")
    assert found.hydra == ["--config-dir", "mine"]
    assert found.dry_run
    assert not found.show
    shown = sort("--cfg", "job", "-p", "train")
    assert shown.show
    assert shown.hydra == ["--cfg", "job", "--package", "train"]
    assert sort("--info", "train.mu=1").overrides == ["train.mu=1"]  # --info without its choice
    assert sort("-h").help


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--num_procesess", "2"], r"^--num_procesess: no such flag; did you mean --num_processes"),
        (["--confg-name", "x"], r"^--confg-name: no such flag; did you mean --config-name"),
        (["--train.mu=2"], r"^--train\.mu: settings are given without dashes: train\.mu=2"),
        (["7b.yaml"], r"^7b\.yaml: settings are given as key=value"),
        (["--config-name"], r"^--config-name: needs a value"),
        (["--num_processes"], r"^--num_processes: needs a value"),
        (["--module"], r"^--module: the launcher runs train_rl\.py"),
        (["--config-path", "x"], r"^--config-path: use --config-dir"),
    ],
)
def test_refused_by_name(argv: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(argv, config_name="default")


def test_accelerates_values_are_accelerates_to_judge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^accelerate: .*--num_processes.*: invalid int"):
        plan_ranks(sort("--num_processes", "two"), gpus=0)
    with pytest.raises(ConfigError, match=r"^--config_file: no such file: nowhere\.yaml"):
        plan_ranks(sort("--config_file", "nowhere.yaml"), gpus=0)
