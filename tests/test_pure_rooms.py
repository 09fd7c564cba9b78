"""The pure rooms stay pure: importing them loads no trainer, no engine, no tensor library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "vllm", "trl", "deepspeed", "wandb")
PURE_FILES = ("src/classroom.py",)
PURE_ROOMS = ("config", "utils", "src/dialog")


def modules() -> list[str]:
    files = [ROOT / name for name in PURE_FILES]
    files += [p for room in PURE_ROOMS for p in sorted((ROOT / room).rglob("*.py"))]
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files if p.exists()]
    return [name.removesuffix(".__init__") for name in names]


def loaded_after(imports: list[str]) -> list[str]:
    """Which heavy packages a fresh interpreter holds after these imports."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {imports!r}: importlib.import_module(name)\n"
        f"print(json.dumps([h for h in {HEAVY!r} if h in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_pure_rooms_import_nothing_heavy() -> None:
    loaded = loaded_after(modules())
    if loaded:  # name the culprit
        culprits = {name: heavy for name in modules() if (heavy := loaded_after([name]))}
        pytest.fail(f"heavy imports: {culprits}")


def test_the_check_would_notice() -> None:
    assert loaded_after(["torch"]) == ["torch"]


@pytest.mark.parametrize(("room", "allowed"), [("config", ["config"]), ("utils", ["config"])])
def test_rooms_import_only_the_rooms_below(room: str, allowed: list[str]) -> None:
    wrong = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] in ("from", "import"):
                top = words[1].split(".")[0]
                if top in ("src", "toy", "benchmarks", "utils") and top not in (room, *allowed):
                    wrong.append(f"{path.name}: {line.strip()}")
    assert not wrong
