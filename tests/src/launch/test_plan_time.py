"""--plan's minutes and dollars: the flags, and what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from src.launch.arguments import parse
from src.launch.jobs import plan_jobs
from src.launch.plan import describe, print_plans
from src.launch.plan_time import clock_of
from src.vllm.server import Machine

HERE = Machine(cores=2)  # no GPU


def planned(capsys: pytest.CaptureFixture[str], folder: Path, *argv: str) -> str:
    typed = ["--plan", f"logging.save_dir={folder}", *argv]
    arguments = parse(typed, config_name="toy")
    described = describe(arguments, HERE)
    jobs, _ = plan_jobs(arguments, described.gpus, 1)
    print_plans(jobs, described, clock_of(arguments, described, HERE))
    return " ".join(capsys.readouterr().out.split())


SEVEN = ("--gpus", "4", "--gpu", "a100-80", "--config-name", "7b")


def test_memory_minutes_hours_dollars_and_what_dominates(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = planned(capsys, tmp_path, *SEVEN, "--price", "2")
    for words in ("4 GPUs of 80 GiB", "any amount of RAM", "4 x A100 SXM 80 GB", "gradients",
                  "minutes (", "an update; the run's 150 updates: ", "hours (", ", $",
                  "what dominates: "):  # fmt: skip
        assert words in said, words
    assert "$" not in planned(capsys, tmp_path, *SEVEN)
    slower = planned(capsys, tmp_path, *SEVEN, "--assume", "training=0.1")
    assert "what dominates: gradients" in slower
    assert "100 updates: " in planned(capsys, tmp_path, *SEVEN, "train.max_steps=-1")


def test_what_is_faster_and_fits_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = planned(capsys, tmp_path, *SEVEN, "engines.residency=turn")
    assert "faster, and fits: engines.residency=phase (" in said
    assert "engines.residency=always" not in said  # all awake do not fit beside the trainer
    assert "engines.residency" not in planned(capsys, tmp_path, *SEVEN).partition("faster,")[2]


def test_a_cpu_needs_no_kind_and_an_unnamed_gpu_has_no_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = planned(capsys, tmp_path, "--gpus", "0", "--ram", "24")
    assert "2 CPU cores" in said and "seconds (" in said and "minutes (" in said
    unnamed = ("--gpus", "4", "--gpu-memory", "80", "--ram", "512", "--config-name", "7b")
    assert "no plan of time: --gpu says which card" in planned(capsys, tmp_path, *unnamed)
    alone = ("--gpus", "0", "--ram", "24", "engines.backend=transformers")
    assert "no plan of time: engines.backend" in planned(capsys, tmp_path, *alone)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--plan", "--gpus", "1", "--gpu", "a1000"), "^--gpu: a1000 is none of a100-80, "),
        (("--gpu", "h200"), "^--gpu: describes a machine for --plan"),
        (("--price", "2"), "^--price: describes a machine"),
        (("--assume", "turns=1"), "^--assume: describes a machine"),
        (("--plan", "--price", "much"), "^--price: must be a number"),
        (("--plan", "--measured"), "^--measured: needs a value"),
    ],
)
def test_flags_that_are_wrong_are_named(argv: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        describe(parse(argv, config_name="7b"), HERE)
