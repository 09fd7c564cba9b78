"""Files and overrides of the paper's own code: read as they are, with a line for what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config import notes
from config.errors import ConfigError
from config.schema import TrainRLConfig
from tests.config.scripts import SCHEMAS, nothing_said
from utils.settings.hydra_entry import load_config

__all__ = ["nothing_said"]  # the fixture

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Settings of a file with this text, in a folder of its own."""

    def read(text: str, script: str = "train_rl", *overrides: str) -> Any:
        (tmp_path / "mine.yaml").write_text(text)
        return load_config(str(tmp_path), SCHEMAS[script], "mine", overrides)

    return read


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_file_without_defaults_has_the_papers(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load("train:\n  mu: 3\n")
    assert settings.train.mu == 3
    assert settings.teacher_model.vllm.temperature == 0.9
    assert settings.generation.ignore_rejected_judge is False
    assert settings.generation.extra_penalty_for_rejected_judges == 0.25
    assert settings.generation.max_turns == 16
    assert settings.dataset.train_datasets[0].name_or_path == "rd211/Big-Math-RL-Verified-Filtered"
    lines = said(capsys)
    assert len(lines) == 2
    assert lines[0].startswith("note: mine.yaml: has no defaults list")
    assert lines[1].startswith("note: mine.yaml: dataset: none is given")


def test_a_file_with_defaults_has_ours(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"^teacher_model\.model_name_or_path: no value"):
        load("defaults: [schema, _self_]\ntrain:\n  mu: 3\n")
    assert said(capsys) == []


def test_only_the_file_that_is_started_may_do_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "longer.yaml").write_text("generation:\n  max_turns: 7\n")
    (tmp_path / "mine.yaml").write_text("defaults: [smollm2, longer, _self_]\n")
    settings = load_config("config/train_rl", TrainRLConfig, "mine", config_dir=str(tmp_path))
    assert settings.generation.max_turns == 7
    assert "135" in settings.student_model.model_name_or_path or settings.train.dtype == "float32"
    assert said(capsys) == []


@pytest.mark.parametrize(
    ("given", "messages", "says"),
    [
        (15, 16, "15 is read as 16 messages"),
        (1, 2, "1 is read as 2 messages"),
        (16, 16, "16 messages, at which a guided conversation ends"),
    ],
)
def test_the_tutor_keeps_its_turns(
    load: Load, capsys: pytest.CaptureFixture[str], given: int, messages: int, says: str
) -> None:
    assert load(f"generation:\n  max_turns: {given}\n").generation.max_turns == messages
    [line] = [line for line in said(capsys) if "max_turns" in line]
    assert says in line


def test_max_turns_of_todays_files_stays(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    text = "defaults: [_original, _self_]\ngeneration:\n  max_turns: 15\n"
    assert load(text).generation.max_turns == 15
    assert said(capsys) == []


GONE = """
train: {save_policy_to_disk_every_n: 1, deepspeed_config_path: x.json}
teacher_model: {vllm: {use_v0: true, bits_and_bytes: true, top_k: 50, top_p: 0.9}}
reward_model: {model_name_or_path: Answer, vllm: {use_v0: false}}
generation: {tokenizer_to_use: a/b, server_port: 8005, use_experimental_shared_memory: true}
dataset: {max_train_examples: null}
"""


def test_what_has_no_meaning_is_said_and_left_out(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(GONE)
    assert settings.teacher_model.vllm.top_k == 0
    assert settings.teacher_model.vllm.top_p == 1.0
    assert settings.dataset.max_train_examples == -1
    lines = said(capsys)
    for key in (
        "train.save_policy_to_disk_every_n",
        "train.deepspeed_config_path",
        "teacher_model.vllm.use_v0",
        "teacher_model.vllm.bits_and_bytes",
        "teacher_model.vllm.top_k",
        "teacher_model.vllm.top_p",
        "reward_model.vllm.use_v0",
        "generation.tokenizer_to_use",
        "generation.server_port",
        "generation.use_experimental_shared_memory",
    ):
        assert sum(line.startswith(f"note: mine.yaml: {key}: ") for line in lines) == 1, key
    assert len(lines) == 11  # those, and that there is no defaults list


def test_a_files_keys_are_left_out_of_todays_files_too(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    load("defaults: [_original, _self_]\nteacher_model:\n  vllm:\n    use_v0: true\n")
    [line] = said(capsys)
    assert line.startswith("note: mine.yaml: teacher_model.vllm.use_v0: no longer a setting")


def test_overrides_are_read_like_files(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(
        "defaults: [_original, _self_]\n",
        "train_rl",
        "generation.server_port=8005",
        "+teacher_model.vllm.use_v0=true",
        "dataset.val_datasets=[{name_or_path: x}]",
        "dataset.max_val_examples=null",
        "train.mu=3",
    )
    assert settings.train.mu == 3
    assert settings.dataset.eval_datasets[0].name_or_path == "x"
    assert settings.dataset.max_val_examples == -1
    assert [line.split(": ")[1] for line in said(capsys)] == [
        "generation.server_port",
        "teacher_model.vllm.use_v0",
        "dataset.val_datasets",
    ]


SFT = """
model: {model_name_or_path: some/model, lora: {enable: true, target_modules: [q_proj, v_proj]}}
train: {optimizer: adamw_hf, deepspeed_config_path: null, epochs: 2}
dataset:
  train_datasets: [{name_or_path: some/data, split: train, ratio: 1.0}]
  val_datasets: [{name_or_path: some/data, split: test}]
  max_val_examples: -1
"""


def test_a_file_for_fine_tuning(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(SFT, "train_sft")
    assert settings.train.optimizer == "adamw_torch"
    assert settings.train.epochs == 2
    assert settings.train.eval_steps == 50
    assert settings.dataset.eval_datasets[0].split == "test"
    assert settings.dataset.train_datasets[0].columns == {"messages": "conversation"}
    assert settings.model.lora.target_modules == r"(?:.*\.)?(?:q_proj|v_proj)"
    keys = [line.split(": ")[2] for line in said(capsys)]
    assert "train.deepspeed_config_path" in keys and "dataset.val_datasets" in keys


def test_prompt_files_of_other_names(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    names = {
        "student_initial_attempt": "student_initial_attempt_prompt",
        "student_attempt": "student_attempt_prompt",
        "student_final": "student_final_prompt",
        "initial_attempt_wrapper": "initial_attempt_wrapper_prompt",
        "teacher": "teacher_prompt",
    }
    keys = [
        f"  {ours}_prompt_path: prompt_templates/{theirs}.txt" for ours, theirs in names.items()
    ]
    settings = load("generation:\n" + "\n".join(keys) + "\n")
    lines = said(capsys)
    for ours in names:
        path = getattr(settings.generation, f"{ours}_prompt_path")
        assert path == f"prompt_templates/{ours}.txt"
        assert sum(f"generation.{ours}_prompt_path" in line for line in lines) == 1


def test_a_prompt_file_that_is_there_is_used(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt_templates").mkdir()
    path = "prompt_templates/teacher_prompt.txt"
    (tmp_path / path).write_text("{{ problem }}")
    monkeypatch.chdir(tmp_path)
    settings = load(f"generation:\n  teacher_prompt_path: {path}\n")
    assert settings.generation.teacher_prompt_path == path


def test_no_yaml_is_one_line_with_its_place(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load('dataset:\n  train_datasets:\n    - name_or_path: "a/b\n      split: "train"\n')
    assert str(refusal.value) == (
        f"{tmp_path}/mine.yaml:3:21: a quote is opened here and closed only at 4:15"
    )


def test_the_lead_rank_says_it_once(
    load: Load, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load("seed: 1\n")
    load("seed: 1\n")
    assert len(said(capsys)) == 2
    notes._said.clear()
    monkeypatch.setenv("RANK", "1")
    load("seed: 1\n")
    assert said(capsys) == []
