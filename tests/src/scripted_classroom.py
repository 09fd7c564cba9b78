"""A classroom of scripted roles, and how its conversations are held and read back."""

from __future__ import annotations

import asyncio
from typing import Any

from config.schema import GenerationSettings, RewardModelSettings
from src.classroom import Classroom
from src.dialog.judges import build_judges, build_turn_judges
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.inference_providers.scripted import ScriptedProvider
from tests.fakes import ByteRenderer, participant
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.rewards import RewardSettings

PROBLEMS = [Problem(id=f"p{i}", text=f"What is {i} + 1?", answer=str(i + 1)) for i in range(6)]


def generation(**changes: Any) -> GenerationSettings:
    values: dict[str, Any] = {
        "judges_rules_prompts_paths": {"does_not_leak_answer": "matcher"},
        "number_student_attempts": 2,
        "max_turns": 6,
        "extra_penalty_for_rejected_judges": 0.75,
    }
    return GenerationSettings(**(values | changes))


def classroom(
    settings: GenerationSettings,
    teacher: ScriptedProvider,
    student: ScriptedProvider,
    judge: ScriptedProvider | None = None,
    *,
    evaluation: bool = False,
    seed: int = 1,
    **participant_changes: Any,
) -> Classroom:
    judge_participant = participant("judge", judge) if judge is not None else None
    return Classroom(
        settings,
        Participants(
            teacher=participant("teacher", teacher, **participant_changes),
            student=participant("student", student, **participant_changes),
            judges=build_judges(settings, judge_participant),
            turn_judges=build_turn_judges(settings, judge_participant),
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=seed,
        evaluation=evaluation,
    )


def says(text: str) -> ScriptedProvider:
    return ScriptedProvider(lambda ask: text)


def run_all(
    room: Classroom, problems: list[Problem] = PROBLEMS, **more: Any
) -> list[ConversationRecord]:
    return asyncio.run(room.run(problems, **({"samples": 2} | more)))


def spoken(record: ConversationRecord) -> list[str]:
    """The tutor's turns, read back from the trajectory alone: runs of mask 1, decoded."""
    assert record.trajectory is not None
    turns: list[str] = []
    run: list[int] = []
    pairs = [*zip(record.trajectory.completion_ids, record.trajectory.mask, strict=True), (0, 0)]
    for token, mask in pairs:
        if mask:
            run.append(token)
        elif run:
            turns.append(ByteRenderer().decode(run))
            run = []
    return turns


JUDGED = {
    "follows_pedagogical_values": "prompt_templates/judges/follows_pedagogical_values.txt",
    "does_not_leak_answer": "prompt_templates/judges/does_not_leak_answer.txt",
}


def without_timing(records: list[ConversationRecord]) -> list[str]:
    return [r.model_copy(update={"timing": {}}).to_json() for r in records]
