"""The post-test: the conversation is read again, under a text without the persona's limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.fakes import as_text
from tests.src.scripted_classroom import PROBLEMS, classroom, generation, run_all, says

FILES = {
    "student_final_system_prompt_path": "EXAM",
    "student_final_prompt_path": "SOLVE",
    "student_initial_attempt_prompt_path": "TRY",
    "student_attempt_prompt_path": "TRY {{ problem }}",
    "initial_attempt_wrapper_prompt_path": "{{ attempt }}",
}


def final_prompt(tmp_path: Path, kind: str, tutor: str = "Go on.", **changes: Any) -> str:
    """The prompt that the student solves under, roles as <s> and <u>."""
    asked: list[str] = []

    def answer(ask: Ask) -> str:
        asked.append(as_text(ask.prompt_ids or ()))
        return "I see."

    paths: dict[str, Any] = {}
    for key, text in FILES.items():
        (tmp_path / key).write_text(text)
        paths[key] = str(tmp_path / key)
    (tmp_path / "persona").write_text("PERSONA")
    paths["student_personas_prompts_paths"] = {"p": str(tmp_path / "persona")}
    more = {"number_student_attempts": 1, "student_names": [None], "max_turns": 4}
    settings = generation(**(more | paths | {"forced_conversation_type": kind} | changes))
    room = classroom(settings, says(tutor), ScriptedProvider(answer))
    run_all(room, PROBLEMS[:1], samples=1)
    return asked[-1]


def test_its_system_text_is_not_the_persona(tmp_path: Path) -> None:
    found = final_prompt(tmp_path, "guided")
    assert found == "<s>EXAM|<u>Go on.||I see.|<u>Go on.||I see.|<u>SOLVE||"


def test_an_attempt_is_read_again_too(tmp_path: Path) -> None:
    opening = final_prompt(tmp_path, "attempted").removeprefix("<s>EXAM|<u>")
    assert opening.startswith("TRY")
    assert opening.endswith("||I see.|<u>Go on.||I see.|<u>Go on.\n\nSOLVE||")


def test_the_persona_can_stay_in_force(tmp_path: Path) -> None:
    kept = {"student_final_system_prompt_path": "persona"}
    found = final_prompt(tmp_path, "guided", **kept)
    assert found == "<s>PERSONA|<u>Go on.||I see.|<u>Go on.||I see.|<u>SOLVE||"


@pytest.mark.parametrize("said", ["<end_of_conversation>", " \n<end_of_conversation>"])
def test_an_empty_last_word_leaves_no_blank_lines(tmp_path: Path, said: str) -> None:
    assert final_prompt(tmp_path, "guided", said) == "<s>EXAM|<u>SOLVE||"
