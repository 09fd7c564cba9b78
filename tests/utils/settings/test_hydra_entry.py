"""A wrong setting ends with one line that names the nearest right one; right ones arrive typed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, TrainRLConfig
from utils.settings.hydra_entry import _check, _split, load_config
from utils.settings.sweeps import expand_sweep

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = "config/train_rl"


def load(*overrides: str, name: str = "smollm2") -> TrainRLConfig:
    return load_config(CONFIGS, TrainRLConfig, name, overrides)


def test_overrides_arrive_typed() -> None:
    settings = load("train.mu=3", "run_name=x", "generation.student_names=[Ann,null]")
    assert isinstance(settings, TrainRLConfig)
    assert (settings.train.mu, settings.run_name) == (3, "x")
    assert settings.generation.student_names == ["Ann", None]
    assert isinstance(settings.dataset.train_datasets[0], DatasetEntry)
    assert settings.judge_model.model_name_or_path == "???"  # not needed, and not invented


def test_with_and_without_suffix_is_one_config() -> None:
    assert load(name="7b.yaml") == load(name="7b")


def test_entries_of_dicts_are_added_with_a_plus() -> None:
    settings = load("+generation.judges_rules_prompts_paths.mine=matcher")
    assert settings.generation.judges_rules_prompts_paths["mine"] == "matcher"


WRONG = [
    # a slip of the key, and where it belongs
    ("generation.max_turn=3", "generation.max_turn:", "generation.max_turns"),
    ("train.max_turns=3", "train.max_turns:", "generation.max_turns"),
    ("extra_penalty=1", "extra_penalty:", "no such setting"),
    ("+generation.max_turn=3", "generation.max_turn:", "generation.max_turns"),
    ("+nonsense=3", "nonsense:", "no such setting"),
    ("generation.judges_rules_prompts_paths.mine=x", "generation.judges", "+generation.judges"),
    ("dataset.train_datasets=[{nam: x}]", "nam:", "name_or_path"),
    # wrong types
    ("train.mu=two", "train.mu:", "Integer"),
    ("generation.use_thinking=perhaps", "generation.use_thinking:", "bool"),
    ("generation.max_turns=null", "generation.max_turns:", "not Optional"),
    # what is no override at all
    ("nonsense", "nonsense:", "key=value"),
    ("a=[b", "a=[b:", "key=value"),
    # one value for what is no single value
    ("dataset.train_datasets=[x.csv]", "dataset.train_datasets:", '[{name_or_path: "x.csv"}]'),
    ("dataset.train_datasets=x.csv", "dataset.train_datasets:", "a list of groups"),
    ("teacher_model.lora=true", "teacher_model.lora:", "teacher_model.lora.enable=true?"),
    ("teacher_model=a/b", "teacher_model:", "teacher_model.model_name_or_path=a/b?"),
    ("train=3", "train:", "a group of settings"),
    ("logging.wandb_tags=x", "logging.wandb_tags:", "a list"),
    ("generation.judges_rules_prompts_paths=x", "generation.judges", "NAME=VALUE"),
    # ranges
    ("generation.extra_penalty_for_rejected_judges=-1", "generation.extra_penalty", "at least 0"),
]


@pytest.mark.parametrize(("override", "begins", "names"), WRONG, ids=[w[0] for w in WRONG])
def test_a_wrong_setting_is_named(override: str, begins: str, names: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(override)
    message = str(refusal.value)
    assert message.startswith(begins)
    assert names in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "working"),
    [
        (
            "dataset.train_datasets=[{name_or_path: /a=b/x (1).jsonl, ratio: 0.5}]",
            """'dataset.train_datasets=[{name_or_path: "/a=b/x (1).jsonl", ratio: 0.5}]'""",
        ),
        ("logging.save_dir=/a=b", """'logging.save_dir="/a=b"'"""),
    ],
)
def test_a_path_with_special_characters_is_shown_quoted(override: str, working: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(override)
    assert str(refusal.value).endswith(f"; quote what has special characters: {working}")
    [word] = shlex.split(working)
    load(word)


def test_held_out_problems_are_of_the_split_test() -> None:
    settings = load(
        "dataset.eval_datasets=[{name_or_path: a.jsonl}]",
        "dataset.train_datasets=[{name_or_path: a.jsonl}]",
    )
    assert settings.dataset.eval_datasets[0].split == "test"
    assert settings.dataset.train_datasets[0].split == "train"


def test_an_unknown_config_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"--config-name smolm2: .*did you mean smollm2\?"):
        load(name="smolm2")


def test_a_wrong_key_in_a_file_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [smollm2, _self_]\ntrain:\n  learn_rate: 1\n")
    with pytest.raises(ConfigError, match=r"^train\.learn_rate: .*train\.learning_rate"):
        load_config(CONFIGS, TrainRLConfig, "mine", config_dir=str(tmp_path))


def test_a_folder_of_ones_own_configs(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [smollm2, _self_]\ntrain:\n  mu: 5\n")
    mine = load_config(CONFIGS, TrainRLConfig, "mine", config_dir=str(tmp_path))
    assert (mine.train.mu, mine.train.dtype) == (5, "float32")


def test_sweeps_expand_as_hydra_does() -> None:
    points = expand_sweep(["train.mu=1,2", "seed=choice(3,4)", "run_name=x"])
    assert points == [
        ["train.mu=1", "seed=3", "run_name=x"],
        ["train.mu=1", "seed=4", "run_name=x"],
        ["train.mu=2", "seed=3", "run_name=x"],
        ["train.mu=2", "seed=4", "run_name=x"],
    ]


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from config.errors import ConfigError, RunError
from config.schema import TrainRLConfig
from utils.settings.hydra_entry import hydra_entry

@hydra_entry("config/train_rl", TrainRLConfig, config_name="smollm2")
def main(cfg: TrainRLConfig):
    print("main", cfg.train.mu)
    if cfg.train.mu == 7:
        raise ConfigError("train.mu: seven")
    if cfg.train.mu == 8:
        raise RunError("the engine died of {{HF_TOKEN}}".format_map(__import__("os").environ))
    if cfg.train.mu == 9:
        raise KeyError("a real fault")
    return 5 if cfg.train.mu == 5 else None

main()
"""


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT)))
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=tmp_path,
        env={**os.environ, "HF_TOKEN": "hf_abcdefgh", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_script_runs_and_leaves_no_folder(tmp_path: Path) -> None:
    done = run(tmp_path, "--config-name", "7b.yaml", "train.mu=3")
    assert (done.returncode, done.stdout) == (0, "main 3\n"), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["script.py"]


def test_a_sweep_runs_every_job_and_leaves_no_folder(tmp_path: Path) -> None:
    done = run(tmp_path, "--multirun", "train.mu=1,2")
    assert (done.returncode, done.stdout) == (0, "main 1\nmain 2\n"), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["script.py"]


def test_a_sweep_names_its_runs_and_passes_over_finished_ones(tmp_path: Path) -> None:
    (tmp_path / "s-mu_2").mkdir()
    (tmp_path / "s-mu_2" / "finished").touch()
    sweep = ("--multirun", "train.mu=1,2,3", "run_name=s", f"logging.save_dir={tmp_path}")
    done = run(tmp_path, *sweep)
    assert (done.returncode, done.stdout) == (0, "main 1\nmain 3\n"), done.stderr
    said = ["run s-mu_1", f"{tmp_path}/s-mu_2 is finished; passed over", "run s-mu_3"]
    assert done.stderr.splitlines() == said


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["train.mu=5"], 5, ""),
        (["train.mu=7"], 2, "error: train.mu: seven\n"),
        (["train.mu=8"], 1, "error: the engine died of [redacted]\n"),
        (["train.nu=1"], 2, "error: train.nu: no such setting; did you mean train.mu?\n"),
        (["--mu", "4"], 2, "error: --mu: no such flag; did you mean train.mu=...?\n"),
    ],
    ids=lambda value: str(value),
)
def test_exit_codes_and_one_line(
    tmp_path: Path, arguments: list[str], code: int, line: str
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") <= 1


def test_a_real_fault_keeps_its_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "train.mu=9")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "a real fault" in done.stderr


def test_help_is_our_own(tmp_path: Path) -> None:
    for flag in ("--help", "-h"):
        done = run(tmp_path, flag, "--config-name", "7b")
        assert done.returncode == 0, done.stderr
        assert "usage: python script.py [--config-name NAME]" in done.stdout
        assert "smollm2" in done.stdout and "mu:" not in done.stdout


def test_only_the_launcher_sweeps_under_several_ranks(tmp_path: Path) -> None:
    done = run(tmp_path, "--multirun", "train.mu=1,2", WORLD_SIZE="2", RANK="0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --multirun:")
    other = run(tmp_path, "train.nu=1", WORLD_SIZE="2", LOCAL_RANK="1")
    assert other.stderr == ""  # once, not twice


def test_hydra_shows_a_config(tmp_path: Path) -> None:
    done = run(tmp_path, "--cfg", "job", "-p", "train", "train.mu=4")
    assert done.returncode == 0, done.stderr
    assert "mu: 4" in done.stdout
    assert "main" not in done.stdout


def test_flags_and_settings_come_in_any_order() -> None:
    typed = ["train.mu=1", "--config-name", "toy", "seed=2", "--cfg", "job", "run_name=x"]
    assert _split(typed) == (
        ["--config-name", "toy", "--cfg", "job"],
        ["train.mu=1", "seed=2", "run_name=x"],
    )
    _check(typed, "config/train_rl", TrainRLConfig, "toy")
    with pytest.raises(ConfigError, match="--confg-name: no such flag"):
        _check(["train.mu=1", "--confg-name", "toy"], "config/train_rl", TrainRLConfig, "toy")
