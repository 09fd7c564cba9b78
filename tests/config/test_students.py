"""`generation.students` as people give it: what is read, what is refused, which roles follow."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import ConfigError
from config.roles import roles_of
from config.schema import EvalConfig, TrainRLConfig
from config.students import students_of
from src.memory_plan.advice import with_changes
from src.vllm.spec import plan_engines
from utils.settings.hydra_entry import load_config

FILE = "persona: prompt_templates/personas/simple_student.txt"


def load(*students: str, more: tuple[str, ...] = ()) -> TrainRLConfig:
    given = [f"+generation.students.{student}" for student in students]
    return load_config("config/train_rl", TrainRLConfig, "smollm2", [*given, *more])


def test_without_any_the_older_setting_names_them() -> None:
    [student] = students_of(load().generation)
    assert (student.name, student.kind, student.role) == ("simple_student", "plain", "student")


def test_named_ones_take_their_place() -> None:
    cfg = load(f"b={{{FILE}, kind: archetype, weight: 2}}", f"a={{{FILE}, held_out: true}}")
    found = students_of(cfg.generation)
    assert [(s.name, s.kind, s.weight, s.held_out) for s in found] == [
        ("a", "plain", 1.0, True),
        ("b", "archetype", 2, False),
    ]
    assert list(roles_of(cfg)) == ["teacher", "student"]


def test_each_distinct_model_is_a_role_and_where_it_can_an_engine() -> None:
    cold = "model: {vllm: {temperature: 0.1}}"
    cfg = load(
        f"a={{{FILE}}}",
        f"b_1={{{FILE}, {cold}}}",
        f"c={{{FILE}, {cold}}}",
        f"d={{{FILE}, model: {{model_name_or_path: org/other}}}}",
        f"e={{{FILE}, model: {{base_url: 'http://x/v1', model_name_or_path: far}}}}",
        f"f={{{FILE}, model: {{vllm: {{temperature: 0.6}}}}}}",  # what student_model has
    )
    roles = roles_of(cfg)
    assert list(roles) == ["teacher", "student", "student-b-1", "student-d", "student-e"]
    assert {s.name: s.role for s in students_of(cfg.generation)} == {
        "a": "student", "b_1": "student-b-1", "c": "student-b-1",
        "d": "student-d", "e": "student-e", "f": "student",
    }  # fmt: skip
    assert roles["student-d"].setting == "generation.students.d.model"
    assert roles["student-d"].model.vllm == cfg.student_model.vllm  # what is left out
    assert roles["student-e"].hosted
    assert [spec.roles for spec in plan_engines(cfg)] == [
        ("teacher",),
        ("student", "student-b-1"),  # another temperature needs no other engine
        ("student-d",),
    ]


def test_student_model_needs_no_name_where_it_plays_nobody() -> None:
    own = f"a={{{FILE}, model: {{model_name_or_path: org/other}}}}"
    cfg = load(own, more=("student_model.model_name_or_path=???",))
    assert list(roles_of(cfg)) == ["teacher", "student-a"]


def test_advice_changes_a_model_that_several_share() -> None:
    own = "model: {model_name_or_path: org/other}"
    cfg = load(f"a={{{FILE}, {own}}}", f"b={{{FILE}, {own}}}")
    other = with_changes(cfg, {"generation.students.a.model.vllm.max_length": 99})
    assert [r.model.vllm.max_length for r in roles_of(other).values()] == [1024, 99]
    assert [r.model.vllm.max_length for r in roles_of(cfg).values()] == [1024, 1024]


def test_an_inherited_student_is_taken_away() -> None:
    cfg = load_config(
        "config/train_rl", TrainRLConfig, "smollm2_students",
        ["generation.students.shy.persona=none"],
    )  # fmt: skip
    assert [s.name for s in students_of(cfg.generation)] == ["causes", "pusher", "subgoals"]


def test_where_students_are_measured_by_a_function_nobody_tutors() -> None:
    cfg = load_config("config/eval", EvalConfig, "students")
    assert list(roles_of(cfg)) == ["student"]
    for change in ("eval.help=tutor", "eval.fork_turn=1"):
        cfg = load_config("config/eval", EvalConfig, "students", [change])
        assert list(roles_of(cfg)) == ["teacher", "student"]


REFUSED: list[Any] = [
    ("a=3", "generation.students.a: 3 is not of the form"),
    ("a={kind: plain}", "generation.students.a.persona: no value given"),
    ("a={persona: nowhere.txt}", "generation.students.a.persona: no such prompt file: nowhere.txt"),
    (f"a={{{FILE}, kinds: plain}}", "generation.students.a.kinds: no such key of a student"),
    (f"a={{{FILE}, kind: odd}}", "generation.students.a.kind: 'odd' is not one of plain"),
    (f"a={{{FILE}, weight: -1}}", "generation.students.a.weight: must be a finite number"),
    (f"a={{{FILE}, weight: x}}", "generation.students.a.weight: 'x' cannot be one"),
    (f"a={{{FILE}, held_out: 1}}", "generation.students.a.held_out: 1 cannot be one"),
    (f"a={{{FILE}, held_out: true}}", "generation.students: all are held out"),
    (f"a={{{FILE}, weight: 0}}", "generation.students: all are held out"),
    (f"a={{{FILE}, rounds: -1}}", "generation.students.a.rounds: must be at least 0"),
    (f"a={{{FILE}, replies: x}}", "generation.students.a.replies: 'x' is not of the form"),
    (f"a={{{FILE}, check: x}}", "generation.students.a.check: 'x' is not of the form"),
    (f"a={{{FILE}, misconception: keeps_sign}}", "generation.students.a.misconception: needs kind"),
    (f"a={{{FILE}, model: 3}}", "generation.students.a.model: 3 cannot be one"),
    (f"a={{{FILE}, model: {{nam: 3}}}}", "generation.students.a.model.nam: "),
    (f"a={{{FILE}, model: {{vllm: {{top_p: 3}}}}}}", "generation.students.a.model.vllm.top_p: "),
    (f"a-b={{{FILE}}}", "generation.students.a-b: no name of a student"),
]


@pytest.mark.parametrize(("student", "message"), REFUSED)
def test_what_cannot_be_a_student_is_refused_with_its_key(student: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(student)
    assert str(error.value).startswith(message)
