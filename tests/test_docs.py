"""What the documents tell a reader to type is understood, and what they point to is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from config.schema import EvalConfig, TrainRLConfig, TrainSFTConfig
from src.launch.arguments import parse
from src.launch.jobs import plan_jobs
from utils.settings.hydra_entry import load_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "technical.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
SCRIPTS = {
    "train_rl.py": ("config/train_rl", TrainRLConfig, "toy"),
    "train_sft.py": ("config/train_sft", TrainSFTConfig, "smollm2"),
    "eval.py": ("config/eval", EvalConfig, "smollm2"),
}
COMMAND = re.compile(r"^(?:\./\w+\.sh|python|accelerate|pip)\b")
GROUPS = "train|generation|engines|reward_model|teacher_model"
OVERRIDE = re.compile(rf"`(\+?(?:{GROUPS})\.[\w.]+=\S+?)`")
REFUSED = "what-went-wrong.md"  # tests/test_guides.py types its settings
READERS_FILE = ("my_rule.txt", "prompt_templates/judges/does_not_leak_answer.txt")
LINK = re.compile(r"\]\(((?!https?:|#)[^)]+)\)")
PATH = re.compile(r"`((?:config|src|utils|prompt_templates|toy|tests|benchmarks|docs)/[\w./]*)`")


def commands() -> list[str]:
    """Every command line in a fenced block, without its comment; continued lines are joined."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```(?:bash|sh)?\n(.*?)^```", text, re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if COMMAND.match(line):
                    found.append(line.split("  #")[0].strip())
    return list(dict.fromkeys(found))


def words(command: str) -> list[str]:
    """The words of a command; an ellipsis stands for what the reader fills in."""
    return [w for w in shlex.split(command, comments=True) if not set(w) & {"…", "<", "["}]


def checks_script(script: str, arguments: list[str]) -> None:
    """The settings that a root script would get."""
    folder, schema, name = SCRIPTS[script]
    arguments = [a for a in arguments if a != "--multirun"]
    if "--config-name" in arguments:
        at = arguments.index("--config-name")
        name = arguments[at + 1].removesuffix(".yaml")
        del arguments[at : at + 2]
    assert not [a for a in arguments if a.startswith("-")], arguments
    load_config(folder, schema, name, [a.partition(",")[0] for a in arguments])


@cache
def help_of(module: str) -> str:
    environment = os.environ | {"COLUMNS": "200"}
    run = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str) -> None:
    first, *rest = words(command)
    if first == "./start_rl_training.sh":
        gpus = 4 if "4GPU" in command else 0
        plan_jobs(parse(rest, config_name="toy"), gpus=gpus, grace_s=1)
    elif first == "./run_tests.sh":
        assert set(rest) <= {"--full"} or (ROOT / rest[0]).exists() or rest[0] == "-m"
    elif first == "accelerate":
        assert rest[:2] == ["launch", "--config_file"] and (ROOT / rest[2]).is_file()
        checks_script(rest[3], rest[4:])
    elif first == "pip":
        assert all((ROOT / w).is_file() for w in rest if w.endswith(".txt"))
    elif rest[0] == "-m":
        flags = [w for w in rest[2:] if w.startswith("--")]
        assert all(flag in help_of(rest[1]) for flag in flags or ["usage"])
    else:
        checks_script(rest[0], rest[1:])


def test_settings_in_the_text_exist() -> None:
    pages = [page for page in PAGES if page.name != REFUSED]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    found = [
        settings for line in lines if (settings := OVERRIDE.findall(line.replace(*READERS_FILE)))
    ]
    assert len(found) > 5
    for settings in found:  # those of a line belong together
        choices = [setting.replace("\\|", "|").partition("=") for setting in settings]
        for number in range(max(value.count("|") + 1 for _, _, value in choices)):
            values = [(key, value.split("|")) for key, _, value in choices]
            one = [f"{key}={each[min(number, len(each) - 1)]}" for key, each in values]
            checks_script("train_rl.py", ["--config-name", "7b", *one])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [t for t in LINK.findall(text) if not (page.parent / t.partition("#")[0]).exists()]
    missing += [path for path in PATH.findall(text) if not (ROOT / path.rstrip("/")).exists()]
    assert not missing


def test_the_documents_have_commands() -> None:
    assert len(commands()) > 8
