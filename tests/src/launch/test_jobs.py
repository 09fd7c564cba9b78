"""From a command line to the commands that run, before anything does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError
from src.launch.arguments import parse
from src.launch.jobs import Job, plan_jobs

ROOT = Path(__file__).resolve().parents[3]


def plan(folder: Path, *argv: str) -> tuple[list[Job], list[Path]]:
    arguments = parse([*argv, f"logging.save_dir={folder}"], config_name="smollm2")
    return plan_jobs(arguments, gpus=0, grace_s=120)


def test_every_process_reads_the_same_settings(tmp_path: Path) -> None:
    (job,), _ = plan(tmp_path, "train.mu=1", "run_name=mine")
    assert job.settings.train.mu == 1
    assert job.folder == tmp_path / "mine"
    assert job.command == [
        *(sys.executable, "-m", "src.launch.ranks"),
        *("--config_file", "config/deepspeed/zero3_cpu.yaml", "--main_process_port", "0"),
        *("train_rl.py", "--config-name", "smollm2"),
        *("train.mu=1", f"logging.save_dir={tmp_path}", "run_name=mine"),
    ]
    assert job.environment["DS_ACCELERATOR"] == "cpu"
    assert "CUDA" not in job.shell_line()


def test_the_runs_name_is_fixed_here(tmp_path: Path) -> None:
    (job,), _ = plan(tmp_path)
    assert job.command[-1] == f"run_name={job.folder.name}"
    assert job.folder.name.startswith("smollm2-")
    job.folder.mkdir()
    (job.folder / "finished").touch()
    (second,), _ = plan(tmp_path)
    assert second.command[-1] == f"run_name={job.folder.name}-2"


def test_in_process_runs_without_accelerate(tmp_path: Path) -> None:
    (job,), _ = plan(tmp_path, "engines.backend=transformers", "run_name=mine")
    assert job.command[:2] == [sys.executable, "train_rl.py"]
    assert job.ranks is None
    with pytest.raises(ConfigError, match=r"^--num_processes: train\.use_deepspeed=false"):
        plan(tmp_path, "--num_processes", "2", "engines.backend=transformers")


def test_where_vllm_cannot_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (job,), _ = plan(tmp_path, "run_name=mine")
    assert "engines.backend=transformers" in job.command
    assert job.ranks is None
    assert "engines.backend=transformers train.use_deepspeed=false" in capsys.readouterr().err


def test_a_sweep_is_one_job_a_point(tmp_path: Path) -> None:
    sweep = ("--multirun", "generation.extra_penalty_for_rejected_judges=0,0.75", "seed=1,2")
    jobs, _ = plan(tmp_path, *sweep, "run_name=front")
    names = [job.folder.name for job in jobs]
    assert names == [
        f"front-extra_penalty_for_rejected_judges_{penalty}-seed_{seed}"
        for penalty in ("0", "0.75")
        for seed in (1, 2)
    ]
    assert [job.settings.seed for job in jobs] == [1, 2, 1, 2]
    assert all(job.command.count(f"run_name={job.folder.name}") == 1 for job in jobs)
    jobs[1].folder.mkdir()
    (jobs[1].folder / "finished").touch()
    left, finished = plan(tmp_path, *sweep, "run_name=front")
    assert [job.folder.name for job in left] == [names[0], *names[2:]]
    assert finished == [jobs[1].folder]


def test_sweeps_with_other_settings_are_other_runs(tmp_path: Path) -> None:
    one, _ = plan(tmp_path, "--multirun", "seed=1,2", "train.mu=1")
    other, _ = plan(tmp_path, "--multirun", "seed=1,2", "train.mu=2")
    again, _ = plan(tmp_path, "--multirun", "seed=1,2", "train.mu=1")
    assert {j.folder for j in one}.isdisjoint({j.folder for j in other})
    assert [j.folder for j in one] == [j.folder for j in again]


def test_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^train\.per_device_train_batch_size: 12 conv"):
        plan(
            tmp_path, "train.number_of_problems_per_batch=3", "train.per_device_train_batch_size=4"
        )
    with pytest.raises(ConfigError, match=r"^generation\.extra_penalty"):
        plan(tmp_path, "--multirun", "generation.extra_penalty_for_rejected_judges=0,-1")


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """The launcher on a machine without a GPU."""
    return subprocess.run(
        [sys.executable, "-m", "src.launch", *argv],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_dry_run_prints_what_can_be_typed(tmp_path: Path) -> None:
    done = run("--dry-run", f"logging.save_dir={tmp_path}", "run_name=mine")
    assert done.returncode == 0, done.stderr
    *_, command = done.stdout.splitlines()
    assert command.endswith(f"logging.save_dir={tmp_path} run_name=mine")
    assert done.stdout.count("vllm.entrypoints.openai.api_server") == 2
    assert list(tmp_path.iterdir()) == []
    shown = subprocess.run(  # the printed line, in a shell, up to the training itself
        ["sh", "-c", command.replace("-m src.launch.ranks", "-m src.launch.ranks --help")],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert shown.returncode == 0


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["train.nu=1"], "error: train.nu: no such setting; did you mean train.mu?\n"),
        (
            ["--config_file", "config/deepspeed/zero3_4GPU.yaml"],
            "error: --config_file: asks for 4 GPUs on this machine, 0 are visible "
            "(config/deepspeed/zero3_cpu.yaml is for such a machine)\n",
        ),
    ],
)
def test_one_line_and_nothing_started(argv: list[str], line: str, tmp_path: Path) -> None:
    done = run(*argv, f"logging.save_dir={tmp_path}")
    assert (done.returncode, done.stderr) == (2, line)
    assert list(tmp_path.iterdir()) == []


def test_two_dashes_part_flags_from_settings_as_in_the_papers_launcher(tmp_path: Path) -> None:
    done = run("--dry-run", "--", f"logging.save_dir={tmp_path}", "run_name=mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"logging.save_dir={tmp_path} run_name=mine")


def test_a_dry_run_shows_the_machine_that_is_asked_for(tmp_path: Path) -> None:
    done = run(
        *("--dry-run", "--config-name", "7b", f"logging.save_dir={tmp_path}"),
        *("--config_file", "config/deepspeed/zero3_4GPU.yaml"),
    )
    assert done.returncode == 0, done.stderr
    assert "# as on a machine of 4 GPUs; on this one 0 are visible" in done.stdout
    assert done.stdout.count("--tensor-parallel-size 4") == 3
    assert "DS_ACCELERATOR=cpu" not in done.stdout


@pytest.mark.parametrize("flag", ["--check", "--dry-run"])
def test_what_a_start_reads_is_read(tmp_path: Path, flag: str) -> None:
    """A rule's module and a dataset that are not there, or at fault; nothing is left behind."""
    rules = tmp_path / "own_rules"
    rules.mkdir()
    (rules / "mine.py").write_text("rule = 1\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "src.launch", flag, f"logging.save_dir={tmp_path / 'runs'}"),
            *("+generation.judges_rules_prompts_paths.mine=mine:rule", "train.eval_steps=0"),
        ],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(rules)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if flag == "--check" else 2), done.stderr
    assert "generation.judges_rules_prompts_paths.mine: mine:rule is no function" in (
        done.stdout + done.stderr
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["own_rules", "mine.py"]


def test_check_asks_the_plan(tmp_path: Path) -> None:
    found = {
        name: run("--check", f"logging.save_dir={tmp_path}", *more).stdout
        for name, more in {
            "toy": (),
            "larger": ("student_model.vllm.cpu_kv_cache_gib=9999",),
        }.items()
    }
    assert re.search(r"^ok +memory .* planned\)$", found["toy"], re.M)
    assert re.search(r"^MISSING +memory .* planned\)$", found["larger"], re.M)
    assert re.search(r"^ok +new weights .* planned\)$", found["toy"], re.M)
    assert re.search(r"^ok +run folder .* planned\)$", found["toy"], re.M)
    assert "Nothing is missing." in found["toy"]


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("--plan", "--gpu-memory", "80"), 2, "error: --gpu-memory: --gpus says how many"),
        (
            ("--plan", "--gpus", "6", "--gpu-memory", "80", "--config-name", "smollm2"),
            0,
            "a batch is not cut evenly by 6 GPUs: 4 of them train",
        ),
    ],
)
def test_a_machine_is_described_whole(
    tmp_path: Path, argv: tuple[str, ...], code: int, says: str
) -> None:
    done = run(*argv, f"logging.save_dir={tmp_path}")
    assert says in done.stderr
    assert done.returncode == code or code == 0


def test_check_says_what_is_missing(tmp_path: Path) -> None:
    done = run(
        *("--check", "--config-name", "7b", "judge_model.use_openrouter=true"),
        f"logging.save_dir={tmp_path}",
    )
    assert done.returncode == 1, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {tuple(words[:2]) for words in lines}
    assert ("ok", "Python") in found
    assert ("MISSING", "teacher") in found  # tests have no hub
    assert ("ok", "judge") in found  # hosted
    assert ("MISSING", "OPENROUTER_API_KEY") in found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("gpus", "ranks"), [(2, 2), (3, 2), (4, 4), (8, 8)])
def test_a_default_takes_as_many_gpus_as_cut_its_batch_evenly(
    tmp_path: Path, gpus: int, ranks: int
) -> None:
    arguments = parse([f"logging.save_dir={tmp_path}"], config_name="smollm2")
    (job,), _ = plan_jobs(arguments, gpus=gpus, grace_s=1)
    assert job.ranks is not None and job.ranks.processes == ranks
