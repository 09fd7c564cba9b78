"""Prompt files: what cannot be told to a model is refused before anything runs, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import GenerationSettings
from src.dialog.judges import load_rules
from src.dialog.prompts import Prompts
from utils.prompts import Prompt, load_prompt

VARIABLES = frozenset({"problem", "student_name"})


def load(path: Path, text: str) -> Prompt:
    path.write_text(text, encoding="utf-8")
    return load_prompt(
        str(path),
        setting="generation.x",
        variables=VARIABLES,
        needs=frozenset({"problem"}),
        optional=frozenset({"student_name"}),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("Hello.", "must say {{ problem }}"),
        ("{{ problem", ":1: unexpected end"),
        ("{{ problem|shout }}", "No filter named 'shout'"),
        ("{{ problem }} {{ answer }}", "uses answer; it may use problem, student_name"),
        ("{{ problem.text }}", "has no attribute 'text'"),
        ("{{ problem }} {{ 1 / 0 }}", "division by zero"),
        ("{{ problem }} {% include 'other.txt' %}", "no loader"),
        ("{{ problem.__class__.__mro__ }}", "unsafe"),
        ("{{ problem }}{% for i in range(10 ** 9) %}x{% endfor %}", "Range too big"),
        ("{{ problem }} {{ student_name.upper() }}", "has no attribute 'upper'"),
    ],
)
def test_refused_naming_setting_and_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "p.txt", text)
    said = str(caught.value)
    assert said.startswith(f"generation.x: {tmp_path / 'p.txt'}") and "\n" not in said
    assert words in said


def test_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\x00 {{ problem }}")
    for path, words in ((tmp_path / "p.txt", "no UTF-8"), (tmp_path, "no such prompt file")):
        with pytest.raises(ConfigError, match=words):
            load_prompt(str(path), setting="generation.x", variables=VARIABLES)


def test_what_is_said_is_never_a_template(tmp_path: Path) -> None:
    prompt = load(
        tmp_path / "p.txt", "\ufeff{{ problem }}{% if student_name %} {{ student_name }}{% endif %}"
    )
    assert prompt.render(problem="{{ 1 / 0 }}{% x", student_name=None) == "{{ 1 / 0 }}{% x"


def test_a_judge_is_told_problem_and_transcript(tmp_path: Path) -> None:
    rule = tmp_path / "rule.txt"
    made = GenerationSettings(judges_rules_prompts_paths={"mine": str(rule)})
    for text, word in (("{{ problem }}", "transcript"), ("{{ transcript }}", "problem")):
        rule.write_text(text)
        with pytest.raises(ConfigError, match=f"rules_prompts_paths.mine: .* {word} "):
            load_rules(made)
    rule.write_text("{{ problem }} {{ transcript }} {{ answer.strip() }}")
    with pytest.raises(ConfigError, match="'None' has no attribute 'strip'"):
        load_rules(made)
    made.rules_that_see_the_answer = ["mine"]
    assert set(load_rules(made)) == {"mine"}
    for shipped in load_rules(GenerationSettings()).values():
        assert isinstance(shipped, Prompt)
        text = shipped.render(problem="PROBLEM", answer="ANSWER", transcript="TRANSCRIPT")
        assert all(word in text for word in ("PROBLEM", "ANSWER", "TRANSCRIPT"))


def test_the_classroom_cannot_do_without_some_words(tmp_path: Path) -> None:
    empty = tmp_path / "p.txt"
    empty.write_text("Say something.")
    for key, word in (
        ("teacher_prompt_path", "problem"),
        ("initial_attempt_wrapper_prompt_path", "attempt"),
        ("student_attempt_prompt_path", "problem"),
    ):
        with pytest.raises(ConfigError, match=rf"^generation\.{key}: .* must say .* {word} "):
            Prompts.load(GenerationSettings(**{key: str(empty)}))
