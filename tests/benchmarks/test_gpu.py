"""First contact with a GPU: what can be seen of it without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.gpu.cards import card
from benchmarks.gpu.found import Found, read, write
from benchmarks.gpu.items import ITEMS, Item, chosen
from benchmarks.gpu.needs import failed_imports, missing_packages
from benchmarks.gpu.one import run
from benchmarks.gpu.rows import SAMPLES, lengths, made_up, records
from benchmarks.gpu.runner import Runner
from src.time_plan.cards import CARDS, cpu

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )


def test_names_are_items_their_parts_and_groups() -> None:
    assert [item.name for item in chosen(["T3"])] == ["T3", "T3-resume", "T3-accumulate"]
    assert [item.name for item in chosen(["T2"])] == ["T2", "T2-optimizer"]
    assert {item.name[0] for item in chosen(["engine"])} == {"V"}
    assert chosen([]) == list(ITEMS) and len(chosen(["T1", "train"])) == 7
    with pytest.raises(KeyError):
        chosen(["T9"])


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = command("T1", "--json", str(tmp_path / "gpu.json"), path="/nowhere")
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 1
    assert "no GPU" in done.stdout and not done.stderr
    wrong = command("T9", "--dry")
    assert wrong.returncode == 2 and "T9" in wrong.stderr and "T3-resume" in wrong.stderr


def test_an_item_that_hangs_loses_only_itself(tmp_path: Path) -> None:
    """Each is ended after its bound; the file holds both and is whole after each."""
    file = tmp_path / "gpu.json"
    slow = [Item(name=n, what="?", work="train_items:gradients", seconds=0.5) for n in ("T1", "T2")]
    runner = Runner(file, tmp_path, dry=True, seconds=100.0)
    runner._preflight = lambda items: {}  # type: ignore[method-assign]
    assert runner.run(slow) == 1
    about, found = read(file)
    assert about["dry"] and [item.name for item in found] == ["T1", "T2"]
    assert all(not item.passed and "ended after" in item.reason for item in found)
    late = Runner(file, tmp_path, dry=True, seconds=5.0)
    late._preflight = runner._preflight  # type: ignore[method-assign]
    late.run(slow[:1])
    assert read(file)[1][0].passed is None and "--seconds" in read(file)[1][0].reason


def test_what_was_found_comes_back(tmp_path: Path) -> None:
    found = Found(name="T1", what="?", passed=True, found={"gap_nats": 0.1}, seconds=2.0)
    write(tmp_path / "x.json", {"card": "A"}, [found])
    assert read(tmp_path / "x.json") == ({"card": "A"}, [found])
    assert list(tmp_path.iterdir()) == [tmp_path / "x.json"]


def test_the_card_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its driver's name; an unknown one and none have figures too."""
    fake = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert card() == cpu(2)
    for name, kind in (("NVIDIA H200", "h200"), ("NVIDIA B300", "a100-80")):
        fake.write_text(f"#!/bin/sh\necho '{name}'\n")
        fake.chmod(0o755)
        assert card() is CARDS[kind]


def test_rows_end_with_the_tutor_and_come_in_groups() -> None:
    rows = made_up(lengths(8, 4096), 320)
    assert all(row.mask[-1] == 1 and len(row.mask) == len(row.completion_ids) for row in rows)
    assert max(max(row.completion_ids) for row in rows) < 317
    held = records(rows)
    assert [r.sample for r in held] == [*range(SAMPLES)] * 2
    assert len({r.rewards["total"] for r in held}) == 8


@pytest.mark.parametrize("name", [pytest.param("T1", marks=pytest.mark.slow), "T2"])
def test_the_trainers_items_run_dry(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, with tiny models: a typo is found here, not on the first card."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PATH", "/nowhere")  # no nvidia-smi
    found = run(name, tmp_path, dry=True)
    assert found.passed, found.reason
    if name == "T1":
        assert found.found["packed_bf16"]["really_packed"]
    else:
        assert found.found["packed"]["optimizer_s"] > 0


def test_what_is_missing_is_said_before_anything_runs(tmp_path: Path) -> None:
    """All of it at once; items that need it are not begun, the others are."""
    file = tmp_path / "gpu.json"
    runner = Runner(file, tmp_path, dry=True, seconds=100.0)
    lost = {"bitsandbytes": "ModuleNotFoundError: No module named 'sniffio'"}
    runner._preflight = lambda items: lost  # type: ignore[method-assign]
    items = [
        Item(name="T1", what="?", work="nothing:here", seconds=5.0),
        Item(name="V5", what="?", work="nothing:here", seconds=0.2),
    ]
    assert runner.run(items) == 1
    _, (trainer, engine) = read(file)
    assert trainer.reason == f"not run: bitsandbytes: {lost['bitsandbytes']}"
    assert trainer.seconds == 0.0 and "ended after" in engine.reason and engine.seconds > 0


def test_an_import_error_that_comes_again_ends_the_rest(tmp_path: Path) -> None:
    """Two items died of it; the third is not begun."""
    file = tmp_path / "gpu.json"
    runner = Runner(file, tmp_path, dry=True, seconds=100.0)
    runner._preflight = lambda items: {}  # type: ignore[method-assign]
    items = [Item(name=n, what="?", work="nothing:here", seconds=60.0) for n in ("T1", "T2", "T4")]
    died = Found(name="T1", what="?", passed=False, reason="ImportError: no sniffio (a.py:1)")
    runner._one = lambda item: replace(died, name=item.name)  # type: ignore[method-assign]
    runner.run(items)
    reasons = [item.reason for item in read(file)[1]]
    assert reasons == [died.reason, died.reason, "not run: ImportError: no sniffio"]


def test_missing_packages_are_named_with_who_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, wants in (
        ("outer", ["inner", "absent>=2", "other; extra == 'x'"]),
        ("inner", ["a.b"]),
    ):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        lines = [f"Requires-Dist: {line}" for line in wants]
        text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines])
        (info / "METADATA").write_text(text + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert missing_packages(["outer"]) == ["a.b (for inner)", "absent (for outer)"]
    failed = failed_imports(["json", "nowhere.at_all"])
    assert failed == {"nowhere.at_all": "ModuleNotFoundError: No module named 'nowhere'"}


def test_each_item_names_code_that_is_there() -> None:
    for item in ITEMS:
        module, _, function = item.work.partition(":")
        assert callable(getattr(import_module(f"benchmarks.gpu.work.{module}"), function)), (
            item.name
        )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_item_runs_dry(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    done = command("--dry", "--json", str(file), "--work", str(tmp_path / "work"))
    items = json.loads(file.read_text())["items"]
    assert [(i["name"], i["passed"], i["reason"]) for i in items] == [
        (item.name, True, "") for item in ITEMS
    ], done.stdout
    assert done.returncode == 0
