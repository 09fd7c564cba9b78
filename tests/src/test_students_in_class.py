"""Named students in the classroom: who meets whom, what they are told, who answers for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from config.errors import ConfigError, RunError
from config.schema import GenerationSettings, RewardModelSettings, StudentEntry
from src.classroom import Classroom
from src.dialog.conversation import Given
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.fakes import participant
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.rewards import RewardSettings
from utils.students.moment import Moment

PROBLEMS = [
    Problem(id=f"p{i}", text=f"What is {i}7+38?", answer=str(i * 10 + 45)) for i in range(8)
]
PERSONA = "prompt_templates/personas/simple_student.txt"


def entry(**changes: Any) -> StudentEntry:
    return StudentEntry(**({"persona": PERSONA} | changes))


def room(
    students: dict[str, StudentEntry],
    student: ScriptedProvider,
    *,
    evaluation: bool = False,
    others: dict[str, ScriptedProvider] | None = None,
    renderer: bool = True,
    **changes: Any,
) -> Classroom:
    values: dict[str, Any] = {
        "judges_rules_prompts_paths": {},
        "students": students,
        "number_student_attempts": 2,
        "number_initial_attempts": 2,
        "max_turns": 4,
    }
    settings = GenerationSettings(**(values | changes))
    plain: dict[str, Any] = {} if renderer else {"renderer": None}
    return Classroom(
        settings,
        Participants(
            teacher=participant("teacher", ScriptedProvider(lambda ask: "Go on."), **plain),
            student=participant("student", student, **plain),
            students={n: participant(n, p, **plain) for n, p in (others or {}).items()},
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=3,
        evaluation=evaluation,
    )


def held(classroom: Classroom, **more: Any) -> list[ConversationRecord]:
    return asyncio.run(classroom.run(PROBLEMS, **({"samples": 2} | more)))


def says(text: str) -> ScriptedProvider:
    return ScriptedProvider(lambda ask: text)


def test_a_group_shares_one_student_and_a_batch_is_stratified() -> None:
    students = {
        "a": entry(kind="archetype", weight=3),
        "b": entry(),
        "c": entry(held_out=True, weight=50),
    }
    records = held(room(students, says("Hm.")))
    by_problem = {r.problem_id: {s.student_persona for s in records if s.problem_id == r.problem_id}
                  for r in records}  # fmt: skip
    assert all(len(found) == 1 for found in by_problem.values())
    counts = Counter(r.student_persona for r in records if r.sample == 0)
    assert counts == {"a": 6, "b": 2}
    assert {r.student_kind for r in records if r.student_persona == "a"} == {"archetype"}
    assert not any(r.student_held_out for r in records)


def test_another_step_mixes_anew_and_the_same_one_does_not() -> None:
    students = {"a": entry(), "b": entry()}
    classroom = room(students, says("Hm."))

    def met(step: int) -> list[str]:
        return [r.student_persona for r in held(classroom, samples=1, step=step)]

    assert met(1) == met(1)
    assert len({tuple(met(step)) for step in range(6)}) > 2


def test_an_evaluation_has_every_problem_meet_everybody() -> None:
    students = {"a": entry(), "b": entry(held_out=True), "c": entry(weight=0)}
    records = held(room(students, says("Hm."), evaluation=True), samples=6)
    for problem in PROBLEMS:
        mine = [r for r in records if r.problem_id == problem.id]
        assert Counter(r.student_persona for r in mine) == {"a": 2, "b": 2, "c": 2}
        assert {r.student_persona for r in mine if r.student_held_out} == {"b"}


def test_students_with_a_model_of_their_own_are_played_and_paid_by_it() -> None:
    from config.schema import ModelSettings

    own = ModelSettings(model_name_or_path="other")
    students = {"a": entry(model=own), "b": entry()}
    others = {"student-a": says("other")}
    records = held(room(students, says("default"), others=others))
    for record in records:
        expected, role = ("other", "student-a") if record.student_persona == "a" else (
            "default", "student",
        )  # fmt: skip
        assert {m.content for m in record.messages if m.role == "student"} == {expected}
        assert {s.text for s in (*record.solutions, *record.initial_solutions)} == {expected}
        assert set(record.usage) == {"teacher", role}


def test_what_several_samples_share_is_asked_once_for_each_student() -> None:
    asked: list[str] = []

    def answer(ask: Ask) -> str:
        asked.append(ask.text)
        return "Hm."

    students = {"a": entry(), "b": entry(held_out=True)}
    classroom = room(students, ScriptedProvider(answer), evaluation=True,
                     forced_conversation_type="attempted", max_turns=2,
                     number_student_attempts=0, student_names=[None])  # fmt: skip
    held(classroom, samples=4)
    openings = [text for text in asked if "tutor" in text]
    before = [text for text in asked if "tutor" not in text]
    assert len(openings) == 2 * len(PROBLEMS)  # an attempt of each student
    assert len(before) == 2 * len(PROBLEMS)  # two bare solutions: one model, no persona


def scripted(moment: Moment) -> str | None:
    """Speaks twice itself, then its model does; solves every other time."""
    if moment.what == "turn":
        return f"{moment.what} {moment.spoken} after {moment.turns[-1][1]}" if moment.spoken < 2 \
            else None  # fmt: skip
    if moment.what == "solution":
        return f"\\boxed{{{moment.answer}}}" if moment.sample == 0 else None
    return None


SCRIPT = "tests.src.test_students_in_class:scripted"


@pytest.mark.parametrize("renderer", [True, False])
def test_a_script_speaks_until_it_gives_none(renderer: bool) -> None:
    students = {"s": entry(replies=SCRIPT)}
    classroom = room(students, says("model"), renderer=renderer, max_turns=7,
                     forced_conversation_type="guided")  # fmt: skip
    for record in held(classroom):
        said = [m.content for m in record.messages if m.role == "student"]
        assert said == ["turn 0 after Go on.", "turn 1 after Go on.", "model"]
        assert [s.text for s in record.solutions] == [f"\\boxed{{{record.answer}}}", "model"]
        assert [s.correct for s in record.solutions] == [True, False]
        assert record.usage["student"].requests >= 2


def wrong_kind(moment: Moment) -> Any:
    return 3


def test_a_script_that_gives_no_text_ends_the_run_with_its_setting() -> None:
    students = {"s": entry(replies="tests.src.test_students_in_class:wrong_kind")}
    with pytest.raises(RunError, match=r"generation.students.s.replies: its function gave 3"):
        held(room(students, says("model")))


def test_a_misconception_stays_in_force_before_and_after() -> None:
    seen: list[str] = []

    def answer(ask: Ask) -> str:
        seen.append(ask.text)
        return "\\boxed{55}"

    students = {
        "m": entry(persona="prompt_templates/students/misconception.txt", kind="misconception",
                   misconception="forgets_carry")
    }  # fmt: skip
    records = held(room(students, ScriptedProvider(answer), forced_conversation_type="guided"))
    assert all("carry nothing" in text for text in seen)
    assert [r.misconception_answer for r in records[:4]] == ["35", "35", "45", "45"]


def test_given_words_are_said_and_end_the_conversation() -> None:
    given = Given(help="targeted", teacher=("First.", "Second."), student=("I heard it.",))
    classroom = room({"a": entry()}, says("model"), max_turns=9, forced_conversation_type="guided")
    records = held(classroom, samples=1, given=[given] * len(PROBLEMS))
    for record in records:
        assert [(m.role, m.visible) for m in record.messages] == [
            ("teacher", "First."), ("student", "I heard it."), ("teacher", "Second."),
        ]  # fmt: skip
        assert record.stop_reason == "tutor_ended" and record.help == "targeted"
        assert [s.text for s in record.solutions] == ["model", "model"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "misconception", "misconception": "nothing"}, "no rule is called nothing"),
        ({"replies": "nowhere:nothing"}, "generation.students.s.replies: nowhere:nothing"),
        ({"persona": "prompt_templates/students/misconception.txt"}, "uses misconception"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_its_setting(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        room({"s": entry(**changes)}, says("model"))
