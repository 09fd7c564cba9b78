"""A command typed with a Python that lacks the requirements goes on, or says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import ROOT, is_ours, made_by_set_up

#: The Python that this environment was made from; it has none of the requirements.
BARE = str(getattr(sys, "_base_executable", sys.executable))


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (["-m", "utils.report", "runs"], True),
        (["eval.py", "--config-name", "toy"], True),
        (["-m", "ipykernel_launcher"], False),
        (["-c", "import utils.records"], False),
        (["/elsewhere/eval.py"], False),
        ([], False),
    ],
)
def test_which_commands_are_ours(words: list[str], ours: bool) -> None:
    assert is_ours(words) is ours


def test_an_unfinished_set_up_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUTOR_RL_VENV", raising=False)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert made_by_set_up(tmp_path) is None
    (tmp_path / ".venv" / "set-up-cpu").touch()
    assert made_by_set_up(tmp_path) == python


def run(venv: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if subprocess.run([BARE, "-c", "import omegaconf"], capture_output=True).returncode == 0:
        pytest.skip("the Python below this environment has the requirements itself")
    return subprocess.run(
        [BARE, *words], cwd=ROOT, env=os.environ | {"TUTOR_RL_VENV": str(venv)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", [("-m", "utils.compare", "x", "y"), ("eval.py", "--help")])
def test_without_an_environment_one_line_says_what_to_do(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = run(tmp_path, *words)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: this Python (")
    assert "./start_rl_training.sh makes one" in line


def test_with_one_the_command_goes_on_there(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "set-up-cpu").touch()
    (tmp_path / "pyvenv.cfg").write_text(Path(sys.prefix, "pyvenv.cfg").read_text())
    (tmp_path / "lib").symlink_to(Path(sys.prefix) / "lib")
    done = run(tmp_path, "-m", "utils.compare", str(tmp_path), "y")
    assert done.returncode == 2
    assert "conversations.jsonl" in done.stderr and "environment: " in done.stderr
