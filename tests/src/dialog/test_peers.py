"""A third voice: another student in the conversation, whom the tutor and the student both hear."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import TrainRLConfig
from config.validate import validate
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.src.scripted_classroom import PROBLEMS, classroom, generation, run_all, says, spoken
from utils.records import ConversationRecord

PERSONA = "prompt_templates/personas/simple_student.txt"


def with_a_peer(tmp_path: Path, **changes: object) -> tuple[list[ConversationRecord], list[str]]:
    """Records of one problem, and every prompt that the student's model was asked with."""
    persona = tmp_path / "peer.txt"
    persona.write_text("You are Noor. The problem: {{ problem }}")
    asked: list[str] = []

    def answer(ask: Ask) -> str:
        asked.append(ask.text)
        return "I am Noor." if "You are Noor" in ask.text else "I am the student."

    settings = generation(
        peers={"Noor": str(persona)}, student_names=[None], **({"max_turns": 6} | changes)
    )
    room = classroom(settings, says("Go on."), ScriptedProvider(answer))
    return run_all(room, PROBLEMS[:1], samples=1), asked


@pytest.mark.parametrize("kind", ["guided", "attempted"])
def test_everybody_speaks_and_hears_who_said_what(tmp_path: Path, kind: str) -> None:
    [record], asked = with_a_peer(tmp_path, forced_conversation_type=kind)
    speakers = [m.speaker or m.role for m in record.messages]
    round_ = ["teacher", "student", "Noor"]
    expected = (round_ if kind == "guided" else ["student", "Noor", "teacher"]) * 2
    assert speakers == expected
    noor = [text for text in asked if "You are Noor" in text]
    assert "Student: I am the student." in noor[0] and "Noor: " not in noor[-1]
    student = [text for text in asked if "You are Noor" not in text and "boxed" not in text]
    assert "Tutor: Go on." in student[-1] and "Noor: I am Noor." in student[-1]


def test_only_the_tutor_is_trained_and_only_the_student_is_examined(tmp_path: Path) -> None:
    [record], _ = with_a_peer(tmp_path)
    assert spoken(record) == ["Go on."] * 2
    assert record.trajectory is not None
    assert {s.text for s in record.solutions} == {"I am the student."}
    assert record.usage["student"].requests == 2 + 2 + 2  # turns of both, solutions
    assert ConversationRecord.from_json(record.to_json()) == record


def test_the_last_word_may_be_the_students(tmp_path: Path) -> None:
    [record], _ = with_a_peer(tmp_path, max_turns=2, forced_conversation_type="guided")
    assert [m.speaker or m.role for m in record.messages] == ["teacher", "student"]


def test_a_missing_file_is_named() -> None:
    cfg = TrainRLConfig()
    cfg.generation = generation(peers={"Noor": "no_such.txt"})
    for model in (cfg.teacher_model, cfg.student_model, cfg.judge_model):
        model.model_name_or_path = "m"
    cfg.dataset.train_datasets = []
    with pytest.raises(ConfigError, match=r"^generation\.peers\.Noor: no such prompt file"):
        validate(cfg)
