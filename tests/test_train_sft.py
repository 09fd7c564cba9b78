"""train_sft.py as users start it: tiny models, one process or two ranks, errors before training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import save_tiny_model

ROOT = Path(__file__).resolve().parents[1]
LESSONS = "src.sft.lessons"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def command(
    model: Path, runs: Path, *overrides: str, ranks: int = 1, name: str = "smollm2"
) -> list[str]:
    launch = [sys.executable]
    if ranks > 1:
        accelerate = ["-m", "accelerate.commands.launch", "--main_process_port", "0"]
        launch += [*accelerate, "--config_file", "config/deepspeed/zero2_cpu.yaml"]
        launch += ["--num_processes", str(ranks)]
    return [
        *launch, "train_sft.py", "--config-name", name,
        f"model.model_name_or_path={model}", f"logging.save_dir={runs}", "run_name=t",
        "model.max_length=4000", "train.learning_rate=0.003", *overrides,
    ]  # fmt: skip


def start(*args: Any, **more: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "COLUMNS": "100"}
    return subprocess.run(
        command(*args, **more), cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip


def metrics(run: Path, key: str) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows if key in row]


def test_from_a_local_file_to_a_model_folder(model: Path, tmp_path: Path) -> None:
    """SFT on a file, held-out loss from the lessons: falls, and the folder loads."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from src.sft.lessons import conversations

    rows = [{"talk": row["messages"]} for row in conversations("train", 0, size=24)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = start(
        model, tmp_path, "train.max_steps=8",
        f"dataset.train_datasets=[{{name_or_path: {data}, columns: {{messages: talk}}}}]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "t"
    before, after = metrics(run, "eval_loss")
    assert after < before - 0.5
    assert len(metrics(run, "loss")) == 8
    assert "held-out loss" in done.stdout
    assert f"{before:.4f}" in done.stdout
    assert (run / "finished").exists()
    assert not list((run / "model").glob("*.bin"))
    AutoModelForCausalLM.from_pretrained(run / "model")
    trained = AutoTokenizer.from_pretrained(run / "model")
    assert trained.chat_template == AutoTokenizer.from_pretrained(model).chat_template


@pytest.mark.parametrize(
    ("row", "setting", "message"),
    [
        ({"talk": []}, "[0].columns.messages", "has no column 'messages'"),
        (
            {"messages": [["tutor", "x"]]},
            "[0]",
            "bad.jsonl:1: messages: message 1 has the role 'tuto",
        ),
        (
            {"messages": [["assistant", "x"], ["user", "x"]]},
            "[0]",
            "bad.jsonl:1: .* ends with the st",
        ),
        (
            {"messages": [["assistant", "x" * 5000]]},
            "[0]",
            "bad.jsonl:1: 50.. tokens are more than",
        ),
    ],
)
def test_bad_rows_stop_before_training(
    model: Path, tmp_path: Path, row: dict[str, Any], setting: str, message: str
) -> None:
    import re

    from config.errors import ConfigError
    from config.schema import TrainSFTConfig
    from src.models.training import load_tokenizer
    from src.sft.data import load_sets
    from utils.settings.hydra_entry import load_config

    path = tmp_path / "bad.jsonl"
    if "messages" in row:
        row = {"messages": [{"role": r, "content": c} for r, c in row["messages"]]}
    path.write_text(json.dumps(row) + "\n")
    overrides = [
        f"model.model_name_or_path={model}", "model.max_length=4000",
        f"dataset.train_datasets=[{{name_or_path: {path}}}]",
    ]  # fmt: skip
    cfg = load_config("config/train_sft", TrainSFTConfig, "smollm2", overrides)
    wanted = rf"^dataset\.train_datasets{re.escape(setting)}: .*{message}"
    with pytest.raises(ConfigError, match=wanted):
        load_sets(cfg, load_tokenizer(cfg.model))
    good = {"messages": [{"role": "assistant", "content": "Well?"}]}
    if "messages" in row:  # and left out, where that is wanted
        path.write_text(json.dumps(row) + "\n" + json.dumps(good) + "\n")
        cfg.dataset.bad_rows = "drop"
        assert len(load_sets(cfg, load_tokenizer(cfg.model)).train) == 1


@pytest.mark.parametrize(("name", "rate", "batch"), [("7b", 2e-5, 16), ("mdpo_7b", 2e-7, 32)])
def test_paper_values(name: str, rate: float, batch: int) -> None:
    from config.schema import TrainSFTConfig
    from utils.settings.hydra_entry import load_config

    cfg = load_config("config/train_sft", TrainSFTConfig, name)
    accelerate = (ROOT / "config/deepspeed/zero2_4GPU.yaml").read_text()
    assert "num_processes: 4" in accelerate
    train = cfg.train
    assert 4 * train.per_device_train_batch_size * train.gradient_accumulation_steps == batch
    assert (train.learning_rate, train.epochs) == (rate, 1)


@pytest.mark.slow
def test_two_ranks_under_zero2_take_the_steps_of_one(model: Path, tmp_path: Path) -> None:
    """Same rows, same batch of 8, one rank or two: the same losses, and a model either way."""
    common = ("train.max_steps=6", "train.lr_scheduler_type=constant", "train.learning_rate=0.001")
    one = start(
        model, tmp_path / "one", *common, "train.per_device_train_batch_size=8",
        "train.gradient_accumulation_steps=1",
    )  # fmt: skip
    two = start(
        model, tmp_path / "two", *common, "train.per_device_train_batch_size=4",
        "train.gradient_accumulation_steps=1", ranks=2,
    )  # fmt: skip
    assert (one.returncode, two.returncode) == (0, 0), two.stderr[-3000:]
    first, second = (tmp_path / name / "t" for name in ("one", "two"))
    assert metrics(first, "eval_loss")[0] == pytest.approx(
        metrics(second, "eval_loss")[0], rel=0.02
    )
    assert metrics(second, "eval_loss")[1] == pytest.approx(
        metrics(first, "eval_loss")[1], rel=0.05
    )
    assert (second / "model" / "model.safetensors").exists()


@pytest.mark.slow
def test_mdpo_prefers_the_tutor_that_asks(model: Path, tmp_path: Path) -> None:
    done = start(
        model, tmp_path, "train.max_steps=12", "train.learning_rate=0.0005", name="mdpo_smollm2"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "t"
    before, after = metrics(run, "eval_loss")
    assert before == pytest.approx(0.6931, abs=1e-3)  # log 2: policy and reference are one
    assert after < 0.5
    assert metrics(run, "eval_rewards/accuracies")[-1] > 0.9
    assert "preference" in done.stdout


@pytest.mark.slow
def test_adapters_are_merged_into_the_model_folder(model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    done = start(model, tmp_path, "model.lora.enable=true", "train.max_steps=3")
    assert done.returncode == 0, done.stderr[-3000:]
    start_weights = AutoModelForCausalLM.from_pretrained(model).state_dict()
    weights = AutoModelForCausalLM.from_pretrained(tmp_path / "t" / "model").state_dict()
    assert start_weights.keys() == weights.keys()
    moved = {k for k in weights if not torch.equal(weights[k], start_weights[k])}
    assert any("q_proj" in name for name in moved)
    assert not any("embed" in name for name in moved)
    assert (tmp_path / "t" / "adapter" / "adapter_model.safetensors").exists()


@pytest.mark.slow
def test_killed_run_goes_on_from_its_checkpoint(model: Path, tmp_path: Path) -> None:
    """SIGKILL after a checkpoint; the same command ends with the losses of an undisturbed run."""
    overrides = (
        "train.max_steps=40",
        "logging.save_steps=4",
        "train.per_device_train_batch_size=2",
    )
    whole = start(model, tmp_path / "whole", *overrides)
    assert whole.returncode == 0, whole.stderr[-3000:]
    run = tmp_path / "killed" / "t"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command(model, run.parent, *overrides),
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
        while process.poll() is None and not list(run.glob("checkpoints/*/trainer_state.json")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    again = start(model, run.parent, *overrides)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "resuming t from step" in again.stderr.replace("\n", " ")
    assert metrics(run, "step") == sorted(metrics(run, "step"))
    assert metrics(run, "loss") == pytest.approx(
        metrics(tmp_path / "whole" / "t", "loss"), rel=1e-4
    )


@pytest.mark.slow
def test_random_weights_of_a_seed(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    from config.schema import SftModelSettings
    from src.models.training import load_model

    def weights(seed: int) -> Any:
        settings = SftModelSettings(model_name_or_path=str(model), init_seed=seed)
        return load_model(settings, packing=False, deepspeed=False).lm_head.weight

    assert (weights(1) == weights(1)).all()
    assert (weights(1) != weights(2)).any()
    assert f"model.init_seed=1: random weights, not those of {model}" in caplog.text
