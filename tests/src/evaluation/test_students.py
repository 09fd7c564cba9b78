"""Students measured: a perfect one has selectivity 1, a blind one 0, by construction."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import EvalConfig, RewardModelSettings, StudentEntry
from src.background import Background
from src.classroom import Classroom
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.evaluation import students as under_test
from src.evaluation.students import forked, measure_students, others_of, prepare_students
from src.inference_providers.scripted import ScriptedProvider
from tests.fakes import participant
from utils.data.problems import Problem
from utils.metrics.students import measured_students, warnings
from utils.records import ConversationRecord, Message, load_run
from utils.rewards import RewardSettings
from utils.runs.folder import open_run
from utils.runs.read import open_run as read_run
from utils.settings.hydra_entry import load_config
from utils.students.help import Kind
from utils.students.malrules import MALRULES
from utils.students.moment import Moment

PROBLEMS = [Problem(id=f"p{i}", text=f"What is {i}7+38?", answer=str(10 * i + 45))
            for i in range(1, 13)]  # fmt: skip
HERE = "tests.src.evaluation.test_students"


def helps(kind: Kind, problem: Problem, seed: int) -> list[str]:
    """A step is the problem's own text; two turns, so that the student speaks in between."""
    said = problem.text if kind == "step" else "You can do it."
    return ["Listen.", said]


def perfect(moment: Moment) -> str | None:
    """Solves what its own step was told for, and keeps its misconception's answer else."""
    if moment.what in ("attempt", "turn"):
        return "I see."
    told = any(who == "teacher" and moment.problem in text for who, text in moment.turns)
    wrong = MALRULES["forgets_carry"](moment.problem)
    return rf"\boxed{{{moment.answer if told else wrong}}}"


def blind(moment: Moment) -> str | None:
    """Solves whatever it was told about, its own or not; half of the rest."""
    if moment.what in ("attempt", "turn"):
        return "Is it 3?"
    told = any(who == "teacher" and "What is" in text for who, text in moment.turns)
    return rf"\boxed{{{moment.answer if told or moment.sample % 2 else 0}}}"


def config(**changes: Any) -> EvalConfig:
    cfg = EvalConfig()
    cfg.eval.task, cfg.eval.help = "students", f"{HERE}:helps"
    cfg.generation.judges_rules_prompts_paths = {}
    cfg.generation.number_student_attempts = cfg.generation.number_initial_attempts = 2
    persona = "prompt_templates/personas/simple_student.txt"
    cfg.generation.students = {
        "perfect": StudentEntry(
            persona="prompt_templates/students/misconception.txt", kind="misconception",
            misconception="forgets_carry", replies=f"{HERE}:perfect",
            check="utils.students.consistency:overconfident",
        ),
        "blind": StudentEntry(persona=persona, replies=f"{HERE}:blind", held_out=True,
                              check="utils.students.consistency:overconfident"),
    }  # fmt: skip
    for key, value in changes.items():
        setattr(cfg.eval, key, value)
    prepare_students(cfg)
    return cfg


def classroom(cfg: EvalConfig) -> Classroom:
    return Classroom(
        cfg.generation,
        Participants(
            teacher=participant("teacher", ScriptedProvider(
                lambda ask: "Look: " + re.findall(r"What is \d+\+\d+\?", ask.text)[0])),
            student=participant("student", ScriptedProvider(lambda ask: "nobody asks me")),
        ),
        Prompts.load(cfg.generation),
        RewardSettings.of(cfg.generation, RewardModelSettings()),
        seed=cfg.seed,
        evaluation=True,
    )  # fmt: skip


def measured(
    cfg: EvalConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[ConversationRecord], dict[str, Any]]:
    """What a whole measurement leaves; models are not opened, the classroom is scripted."""
    from contextlib import ExitStack

    from src.local_models import LocalModels

    cfg.logging.save_dir, cfg.run_name = str(tmp_path), "m"
    monkeypatch.setattr(under_test, "open_local_models", lambda *a, **k: LocalModels())
    monkeypatch.setattr(under_test, "build_classroom", lambda *a, **k: classroom(cfg))
    with ExitStack() as stack, open_run(cfg) as folder:
        measure_students(cfg, PROBLEMS, folder, stack.enter_context(Background()), stack)
    records = read_run(tmp_path / "m").records
    from utils.students.consistency import overconfident

    checks = dict.fromkeys(cfg.generation.students, overconfident)
    return records, measured_students(records, checks)


def test_a_perfect_student_and_a_blind_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, found = measured(config(), tmp_path, monkeypatch)
    assert len(records) == 12 * 3 * 2
    one = found["perfect"]
    assert [one[arm]["mean"] for arm in ("targeted", "misaligned", "generic")] == [1.0, 0.0, 0.0]
    assert one["selectivity"]["mean"] == one["selectivity"]["low"] == 1.0
    assert one["selectivity"]["clusters"] == 12
    assert one["believed"]["mean"] == one["hold"]["mean"] == 1.0
    assert one["in_character"]["mean"] == 1.0 and one["kind"] == "misconception"
    other = found["blind"]
    assert [other[arm]["mean"] for arm in ("targeted", "misaligned", "generic")] == [1.0, 1.0, 0.5]
    assert other["selectivity"]["mean"] == 0.0 == other["selectivity"]["high"]
    assert other["hold"]["mean"] is None and other["in_character"]["mean"] == 0.0
    assert other["held_out"] is True


@pytest.mark.parametrize("turn", [0, 1])
def test_the_tutor_itself_helps_from_one_talk(
    turn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, found = measured(config(help="tutor", fork_turn=turn), tmp_path, monkeypatch)
    expected = 1.0 if turn == 0 else 0.0  # at the second turn its own step was heard before
    assert found["perfect"]["selectivity"]["mean"] == expected
    talks = {(r.problem_id, r.student_persona): r for r in load_run(tmp_path / "m" / "forks")}
    for record in records:
        talk = talks[record.problem_id, record.student_persona]
        before = [m.visible for m in talk.messages]
        mine = [m.visible for m in record.messages]
        assert mine[:-1] == before[: len(mine) - 1]
        if record.help == "targeted":
            assert mine[-1] == before[len(mine) - 1]


def test_a_fork_stands_before_the_tutors_turn() -> None:
    said = [("student", "a"), ("teacher", "b"), ("student", "c"), ("teacher", "d")]
    messages = [Message(role=r, content=t, visible=t) for r, t in said]  # type: ignore[arg-type]
    record = ConversationRecord(problem_id="p", problem="p", answer="1", messages=messages)
    found = [(list(f.teacher), list(f.student), f.next) for f in (forked(record, n)
             for n in range(3))]  # fmt: skip
    assert found == [([], ["a"], "b"), (["b"], ["a", "c"], "d"), (["b", "d"], [], None)]


def test_misaligned_help_comes_from_a_problem_with_another_answer() -> None:
    twins = [Problem(id=str(i), text=f"{i}?", answer=str(i % 2)) for i in range(8)]
    others = others_of(twins, 0)
    assert all(others[p.id].answer != p.answer for p in twins)
    assert others == others_of(twins, 0)
    with pytest.raises(ConfigError, match="no two have different answers"):
        others_of(twins[::2], 0)


def test_training_is_told_of_students_that_hardly_listen(tmp_path: Path) -> None:
    path = tmp_path / "students.json"
    rows = {name: {"selectivity": {"mean": mean}} for name, mean in
            {"a": -0.006, "b": 0.4, "c": None, "other": 0.0}.items()}  # fmt: skip
    path.write_text(json.dumps(rows))
    [line] = warnings(path, ["a", "b", "c", "unmeasured"], 0.3)
    assert line.startswith("a: selectivity -0.01 is below 0.3 (generation.min_selectivity)")
    path.write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="students_measured"):
        warnings(path, ["a"], 0.3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["eval.help=nobody"], "eval.help"),
        (["eval.control=retry"], "eval.control"),
        (["generation.number_student_attempts=0"], "generation.number_student_attempts"),
    ],
)
def test_what_cannot_be_measured_is_refused(overrides: Sequence[str], message: str) -> None:
    cfg = load_config("config/eval", EvalConfig, "students", overrides)
    with pytest.raises(ConfigError, match=message):
        prepare_students(cfg)
