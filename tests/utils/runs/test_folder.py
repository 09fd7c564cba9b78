"""Which folder a run gets, when it goes on, when it is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import notes
from config.errors import ConfigError, RunError
from config.schema import DatasetEntry, TrainRLConfig
from utils.runs.differences import differences
from utils.runs.folder import check_run, git_revision, open_run
from utils.runs.names import base_name, is_finished, run_path, unfinished

ROOT = Path(__file__).resolve().parents[3]


def settings(folder: Path, **changes: Any) -> TrainRLConfig:
    made = TrainRLConfig(**changes)
    made.logging.save_dir = str(folder)
    return made


def test_named_by_config_and_content(tmp_path: Path) -> None:
    first = base_name(settings(tmp_path), "7b.yaml")
    assert first == base_name(settings(tmp_path), "7b")
    assert first.startswith("7b-")
    assert len(first) == len("7b-") + 8
    assert base_name(settings(tmp_path, seed=1), "7b") != first
    assert base_name(settings(tmp_path, run_name="mine", seed=1), "7b") == "mine"


def test_name_does_not_depend_on_the_process(tmp_path: Path) -> None:
    code = (
        "from config.schema import TrainRLConfig; from utils.runs.names import base_name;"
        "print(base_name(TrainRLConfig(), '7b'))"
    )
    names = {
        subprocess.check_output(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": salt}
        )
        for salt in ("1", "2")
    }
    assert len(names) == 1


def test_first_start_saves_settings_and_revision(tmp_path: Path) -> None:
    mine = settings(tmp_path, run_name="mine")
    with open_run(mine) as run:
        assert not run.resumed
        assert run.path == tmp_path / "mine"
        saved = yaml.safe_load((run.path / "config.yaml").read_text())
        assert saved["train"]["mu"] == 2
        assert "run_name" not in saved
        assert git_revision() in (run.path / "git_revision.txt").read_text()


def test_unfinished_goes_on_finished_makes_another(tmp_path: Path) -> None:
    open_run(settings(tmp_path, run_name="mine")).close()
    with open_run(settings(tmp_path, run_name="mine")) as again:
        assert again.resumed
        assert again.name == "mine"
        again.finish()
    second = settings(tmp_path, run_name="mine")
    with open_run(second) as run:
        assert (run.name, run.resumed, second.run_name) == ("mine-2", False, "mine-2")
        run.finish()
    assert unfinished(tmp_path / "mine").name == "mine-3"
    assert is_finished(tmp_path / "mine-2")
    # the launcher passes the name it fixed: it is taken as it stands
    assert run_path(settings(tmp_path, run_name="mine-3")).name == "mine-3"


def test_changed_settings_are_refused_with_their_names(tmp_path: Path) -> None:
    open_run(settings(tmp_path, run_name="mine")).close()
    changed = settings(tmp_path, run_name="mine", seed=7)
    changed.train.mu = 4
    for refuse in (open_run, check_run):
        with pytest.raises(ConfigError) as refusal:
            refuse(changed)
        message = str(refusal.value)
        assert message.startswith("run_name:")
        assert "seed: 42 -> 7; train.mu: 2 -> 4" in message
        assert "\n" not in message
    open_run(settings(tmp_path, run_name="mine")).close()  # the refusal held no lock


def test_a_finished_run_is_another_one_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes._said.clear()
    monkeypatch.delenv(notes.QUIET, raising=False)
    with open_run(settings(tmp_path, run_name="mine")) as run:
        assert capsys.readouterr().err == ""
        (run.path / "model").mkdir()
        run.finish()
    check_run(settings(tmp_path, run_name="mine"))
    said = capsys.readouterr().err
    assert said.startswith("note: run_name: mine is finished and takes no more steps")
    assert f"from the start: mine-2; to go on from its model, name {tmp_path}/mine/model" in said


def test_what_changes_no_result_may_change(tmp_path: Path) -> None:
    first = settings(tmp_path, run_name="mine")
    first.huggingface.push_to_hub, first.huggingface.name = True, "me/tutor"
    first.logging.wandb = True
    open_run(first).close()
    second = settings(tmp_path, run_name="mine")
    second.logging.wandb_offline = True
    assert check_run(second) == tmp_path / "mine"
    # the default name is the same one too, so that the same command without the upload goes on
    first.run_name = second.run_name = None
    first.logging.wandb = False
    assert base_name(first, "7b") == base_name(second, "7b")


def test_a_run_of_before_a_setting_goes_on(tmp_path: Path) -> None:
    def settings(folder: Path, **changes: Any) -> TrainRLConfig:
        made = TrainRLConfig(**changes)
        made.logging.save_dir = str(folder)
        made.dataset.train_datasets = [DatasetEntry(name_or_path="a")]
        made.generation.judges_rules_prompts_paths = {"mine": "matcher"}  # fewer than by default
        return made

    open_run(settings(tmp_path, run_name="mine")).close()
    path = tmp_path / "mine" / "config.yaml"
    saved = yaml.safe_load(path.read_text())
    del saved["train"]["overlap"], saved["logging"]["wandb_offline"]
    del saved["dataset"]["train_datasets"][0]["columns"]
    saved["train"]["deepspeed_config_path"] = None
    path.write_text(yaml.safe_dump(saved))
    check_run(settings(tmp_path, run_name="mine"))
    changed = settings(tmp_path, run_name="mine")
    changed.train.overlap = True
    with pytest.raises(ConfigError, match=r"run_name: .*train\.overlap: "):
        path.write_text(yaml.safe_dump(saved))
        check_run(changed)


def test_differences_reach_into_lists_and_new_keys() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": 1}], "gone": None}
    new = {"a": {"b": 1, "c": [1, 3]}, "d": [{"e": 2}, {"e": 3}], "fresh": True}
    assert differences(old, new) == [
        "a.c: [1, 2] -> [1, 3]",
        "d.0.e: 1 -> 2",
        "d.1.e: (none) -> 3",
        "fresh: (none) -> true",
        "gone: null -> (none)",
    ]
    assert differences(old, old) == []


def test_a_running_run_is_not_started_twice(tmp_path: Path) -> None:
    with open_run(settings(tmp_path, run_name="mine")):
        for refuse in (open_run, check_run):
            with pytest.raises(ConfigError, match=r"^run_name: .* in use by another process"):
                refuse(settings(tmp_path, run_name="mine"))
    open_run(settings(tmp_path, run_name="mine")).close()


def test_a_cap_may_be_raised_when_a_run_goes_on(tmp_path: Path) -> None:
    first = settings(tmp_path)
    with open_run(first, config_name="c") as run:
        name = run.name
    higher = settings(tmp_path)
    higher.engines.max_requests, higher.engines.max_cost_usd = 500, 2.5
    with open_run(higher, config_name="c") as run:
        assert run.resumed and run.name == name
        assert (
            yaml.safe_load((run.path / "config.yaml").read_text())["engines"]["max_requests"] == 500
        )
    higher.run_name, higher.engines.residency = name, "turn"
    with pytest.raises(ConfigError, match=r"engines\.residency") as caught:
        open_run(higher)
    assert "max_requests" not in str(caught.value)


HOLDER = """
import sys, time
from config.schema import DatasetEntry, TrainRLConfig
from utils.runs.folder import open_run
mine = TrainRLConfig(run_name="mine")
mine.logging.save_dir = sys.argv[1]
run = open_run(mine)
run.add_metrics(1, {"loss": 0.5})
print("open", flush=True)
time.sleep(60)
"""


def test_a_killed_run_can_be_gone_on_with(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"open\n"
    with pytest.raises(ConfigError, match="in use"):
        open_run(settings(tmp_path, run_name="mine"))
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with open_run(settings(tmp_path, run_name="mine")) as run:
        assert run.resumed
        assert [line["loss"] for line in run.metrics()] == [0.5]


def test_other_ranks_agree_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with open_run(settings(tmp_path, run_name="mine")) as run:
        assert run.path == tmp_path / "mine"
        run.add_metrics(1, {"loss": 1.0})
        run.finish()
    assert list(tmp_path.iterdir()) == []


def test_metrics_are_lines_without_nan(tmp_path: Path) -> None:
    with open_run(settings(tmp_path, run_name="mine")) as run:
        run.add_metrics(1, {"loss": 0.5})
        run.add_metrics(2, {"loss": float("nan")})
        with (run.path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 3, "lo')  # a killed process
        assert [(line["step"], line["loss"]) for line in run.metrics()] == [(1, 0.5), (2, None)]
        run.drop_metrics_after(1)
        lines = (run.path / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [1]


def test_keys_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-0123456789")
    mine = settings(tmp_path, run_name="mine")
    mine.judge_model.api_key_env = "MY_KEY"
    mine.judge_model.vllm.extra_args = {"api-key": "sk-0123456789"}
    with open_run(mine) as run:
        assert "sk-0123456789" not in (run.path / "config.yaml").read_text()
    with open_run(mine) as run:
        assert run.resumed  # redaction is no difference


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"^logging\.save_dir:"):
        open_run(settings(tmp_path / "file", run_name="mine"))
