"""Trackers offline: metrics and one table of conversations, read back with their own readers.

Those that are no requirement are looked for in this environment, in the folder that TRACKERS_SITE
names, or put once into the user's cache folder where the packages can be had.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import LoggingSettings, TrainRLConfig
from src.embedded import cache_folder
from src.models.trackers import COLUMNS, MOST_ROWS, check_trackers, markdown, table_rows
from tests.conftest import ROOT
from tests.synthetic import records
from utils.settings.hydra_entry import load_config

REQUIREMENTS = ROOT / "requirements-trackers.txt"
READ_BACK = """
import json, sqlite3, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
runs, kept = Path(sys.argv[1]), Path(sys.argv[2])
texts, scalars = [], set()
for file in sorted(runs.glob("tensorboard/events*")):
    events = EventAccumulator(str(file)).Reload()
    scalars |= set(events.Tags()["scalars"])
    for tag in events.Tags()["tensors"]:
        if tag.startswith("conversations"):
            texts += [e.tensor_proto.string_val[0].decode() for e in events.Tensors(tag)]
from trackio.sqlite_storage import SQLiteStorage
[name] = SQLiteStorage.get_runs("tutor-rl")
logged = SQLiteStorage.get_logs("tutor-rl", name)
table = [v for row in logged for k, v in row.items() if k == "conversations"]
print(json.dumps({"texts": texts, "scalars": sorted(scalars), "run": name, "table": table,
                  "keys": sorted({k for row in logged for k in row})}, default=str))
"""


def site() -> str:
    """What PYTHONPATH needs for them; skips, with a reason, where they cannot be had."""
    if all(importlib.util.find_spec(name) for name in ("trackio", "tensorboard")):
        return ""
    if given := os.environ.get("TRACKERS_SITE"):
        return given
    made = cache_folder() / f"trackers-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]}"
    if not (made / "complete").exists():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade",
             "--target", str(made), "-r", str(REQUIREMENTS)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"no trackers here: {done.stderr.strip().splitlines()[-1]}")
        (made / "complete").touch()
    return str(made)


@pytest.mark.slow  # one update of the toy, and perhaps an installation
@pytest.mark.timeout(1800)  # a slow network, a busy machine
def test_every_tracker_has_the_metrics_and_a_table(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": site(),
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "OMP_NUM_THREADS": "2",
        "WANDB_API_KEY": "",
        "WANDB_MODE": "offline",
    }
    done = subprocess.run(
        [sys.executable, "train_rl.py", "--config-name", "toy", "engines.backend=transformers",
         "train.max_steps=2", "train.number_of_problems_per_batch=2", "train.eval_steps=0",
         "train.num_samples_per_problem=2", "train.per_device_train_batch_size=4",
         "logging.trackers=[wandb,trackio,tensorboard]", "run_name=tracked",
         f"logging.save_dir={tmp_path}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "tracked"
    [table] = folder.glob("wandb/offline-run-*/files/media/table/conversations_*.table.json")
    shown = json.loads(table.read_text())
    assert shown["columns"] == list(COLUMNS) and len(shown["data"]) > 0
    read = subprocess.run(
        [sys.executable, "-c", READ_BACK, str(folder), str(tmp_path / "trackio")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr[-3000:]
    found = json.loads(read.stdout.splitlines()[-1])
    assert found["run"] == "tracked" and any("solve_after" in key for key in found["keys"])
    assert len(found["table"]) == 1
    assert any("solve_after" in name for name in found["scalars"])
    [text] = found["texts"]
    assert text.startswith("| step | problem |") and "teacher: " in text


def test_wandb_is_one_of_them_however_it_is_typed() -> None:
    for typed in (["logging.wandb=true"], ["logging.trackers=[wandb]"]):
        settings = load_config("config/train_rl", TrainRLConfig, "toy", typed).logging
        assert settings.wandb and settings.trackers == ["wandb"]
    with pytest.raises(ConfigError, match=r"^logging\.trackers: 'mlflow' is not one of wandb"):
        load_config("config/train_rl", TrainRLConfig, "toy", ["logging.trackers=[mlflow]"])


def test_a_missing_package_is_said_before_anything_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^logging\.trackers: trackio is not installed"):
        check_trackers(LoggingSettings(trackers=["trackio"]))


def test_the_table_is_small_repeatable_and_cannot_break_out_of_its_cells() -> None:
    many = records(100)
    many[0].messages[0].visible = "a | b\n\nc"
    assert len(table_rows(many)) == MOST_ROWS
    assert table_rows(many) == table_rows(list(reversed(many)))
    text = markdown(table_rows(many[:1]))
    assert len(text.splitlines()) == 3 and "a \\| b<br>c" in text
