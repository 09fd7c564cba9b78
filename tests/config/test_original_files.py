"""The paper's own files, dropped in as they are.

They are read from a checkout of github.com/eth-lre/PedagogicalRL whose folder the variable
PEDAGOGICAL_RL names; without it these tests are skipped (tests/utils/settings/test_config_files.py
has files of our own with the same keys).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import GenerationSettings
from src.dialog.judges import load_rules
from src.dialog.prompts import Prompts
from src.launch.arguments import Arguments, plan_ranks
from tests.config.scripts import SCHEMAS, nothing_said
from utils.prompts import Prompt
from utils.settings.hydra_entry import load_config

__all__ = ["nothing_said"]  # the fixture

FOLDER = Path(os.environ.get("PEDAGOGICAL_RL", "no checkout"))
pytestmark = pytest.mark.skipif(
    "PEDAGOGICAL_RL" not in os.environ, reason="no checkout of the paper's code: PEDAGOGICAL_RL"
)
FILES = [(g, p.name) for g in SCHEMAS for p in sorted((FOLDER / "config" / g).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_config_is_read(
    group: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = FOLDER / "config" / group
    if group == "train_sft":
        with pytest.raises(ConfigError, match=rf"{name}:15:21: a quote is opened here .* 16:15$"):
            load_config(str(folder), SCHEMAS[group], name)
        text = (
            (folder / name)
            .read_text()
            .replace(
                'Pedagogical-SFT\n      split: "train"', 'Pedagogical-SFT"\n      split: "train"'
            )
        )
        (tmp_path / name).write_text(text)
        folder = tmp_path
    settings = load_config(str(folder), SCHEMAS[group], name)
    assert isinstance(settings, SCHEMAS[group])
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("note: ") for line in lines)
    if group != "train_sft":
        assert settings.generation.max_turns == 16
        assert any("dataset: none is given" in line for line in lines)


@pytest.mark.parametrize("path", sorted((FOLDER / "config/deepspeed").glob("*.yaml")), ids=str)
def test_an_accelerate_config_is_read(path: Path) -> None:
    ranks = plan_ranks(Arguments(accelerate=["--config_file", str(path)]), 4)
    assert ranks.processes in (1, 4) and ranks.zero_stage in (2, 3)


def test_its_prompts_are_read() -> None:
    names = GenerationSettings()
    prompts = FOLDER / "prompt_templates"
    for key in (
        "teacher",
        "student_initial_attempt",
        "student_attempt",
        "student_final",
        "initial_attempt_wrapper",
    ):
        setattr(names, f"{key}_prompt_path", str(prompts / f"{key}_prompt.txt"))
    for rule in names.judges_rules_prompts_paths:
        names.judges_rules_prompts_paths[rule] = str(prompts / "judges" / f"{rule}.txt")
    names.student_personas_prompts_paths = {"s": str(prompts / "personas" / "simple_student.txt")}
    assert Prompts.load(names).student_attempt.render(problem="How many?").endswith("How many?")
    for rule in load_rules(names).values():
        assert isinstance(rule, Prompt)
        said = rule.render(
            problem="",
            answer=None,
            transcript="",
            conversation=[{"role": "teacher", "content": "What do you know?"}],
        )
        assert "- Teacher: What do you know?" in said
    for other in ("teacher_prompt_no_end", "socracticlm/socracticlm_teacher_prompt"):
        names.teacher_prompt_path = str(prompts / f"{other}.txt")
        Prompts.load(names)
