"""Keys appear nowhere: not in logs, not in tracebacks, not in errors."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.schema import EvalConfig
from utils.runs.logs import load_environment, redact, register_secrets_of, set_up_logging

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root_logger() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(False)


def test_named_keys_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("UNRELATED", "hf_public")
    assert redact("got hf_secret and hf_public") == "got [redacted] and hf_public"
    monkeypatch.setenv("HF_TOKEN", "a")  # too short to be a key
    assert redact("a banana") == "a banana"


def test_keys_that_a_config_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "lab-0123456")
    settings = EvalConfig()
    assert redact("lab-0123456") == "lab-0123456"
    settings.student_model.api_key_env = "LAB_KEY"
    register_secrets_of(settings)
    assert redact("lab-0123456") == "[redacted]"


@pytest.mark.usefixtures("root_logger")
def test_log_file_and_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-secret")
    set_up_logging(file=tmp_path / "run.log")
    log = logging.getLogger("test")
    log.info("url?key=%s", "AIza-secret")
    try:
        raise ValueError("refused AIza-secret")
    except ValueError:
        log.exception("failed")
    written = (tmp_path / "run.log").read_text() + capfd.readouterr().err
    assert "AIza-secret" not in written
    assert written.count("ValueError: refused [redacted]") == 2


@pytest.mark.usefixtures("root_logger")
def test_other_ranks_are_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    set_up_logging(file=tmp_path / "run.log")
    logging.getLogger("test").info("hello")
    logging.getLogger("test").warning("look out")
    shown = capfd.readouterr().err
    assert "hello" not in shown
    assert "look out" in shown
    assert not (tmp_path / "run.log").exists()


def test_an_uncaught_error_is_redacted() -> None:
    code = (
        "from utils.runs.logs import set_up_logging; set_up_logging(); "
        "import os; raise RuntimeError('401 for ' + os.environ['HF_TOKEN'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "HF_TOKEN": "hf_secret"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "RuntimeError: 401 for [redacted]" in done.stderr
    assert "hf_secret" not in done.stderr


def test_dotenv_does_not_replace_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=from_file\nWANDB_API_KEY=from_file\n")
    monkeypatch.setenv("HF_TOKEN", "from_shell")
    monkeypatch.setenv("WANDB_API_KEY", "x")  # restored afterwards
    monkeypatch.delenv("WANDB_API_KEY")
    load_environment(tmp_path / ".env")
    assert os.environ["HF_TOKEN"] == "from_shell"
    assert os.environ["WANDB_API_KEY"] == "from_file"
