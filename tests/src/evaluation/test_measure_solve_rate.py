"""The student's own solve rate, as a column that the difficulty band then uses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, ModelSettings, StudentEntry, TrainRLConfig
from src.background import Background
from src.evaluation.measure_solve_rate import Asked, main, measure, part_file, row_of
from src.inference_providers.base import GaveUp
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.fakes import participant
from utils.data.load import load_problems
from utils.data.problems import Problem

PROBLEMS = [
    Problem(id=str(n), text=f"What is {n} + 1?", answer=str(n + 1), source="s", extra={"x": n})
    for n in range(5)
]


def student(asked: list[str]) -> ScriptedProvider:
    """Solves `n + 1` in about n of 4 answers; problem 4 cannot be asked."""

    def answer(ask: Ask) -> str:
        number = int(ask.text.split("What is ")[1].split(" ")[0])
        asked.append(str(number))
        if number == 4:
            raise GaveUp("server busy")
        right = asked.count(str(number)) <= number
        return rf"So \boxed{{{number + 1 if right else 0}}}"

    return ScriptedProvider(answer)


def test_rates_by_hand_and_what_is_kept_is_not_asked_again(tmp_path: Path) -> None:
    cfg, asked, part = TrainRLConfig(), list[str](), tmp_path / "part"
    with Background() as loop:
        own = participant("student", student(asked))
        rows = measure(cfg, own, loop, PROBLEMS, samples=4, part=part)
        assert {key: row["solve_rate"] for key, row in rows.items()} == {
            "0": 0.0,
            "1": 0.25,
            "2": 0.5,
            "3": 0.75,
        }
        count = len(asked)
        with part.open("a") as file:
            file.write('{"id": "torn')
        again = measure(cfg, own, loop, PROBLEMS[:4], samples=4, part=part)
    assert again == rows
    assert len(asked) == count
    out = tmp_path / "out.jsonl"
    out.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    entry = DatasetEntry(str(out), min_solve_rate=0.25, max_solve_rate=0.5)
    found = load_problems([entry], seed=0)
    assert {p.id for p in found} == {"1", "2"}
    one = next(p for p in found if p.id == "1")
    assert (one.text, one.answer, one.source) == ("What is 1 + 1?", "2", "s")
    assert (one.extra["x"], one.extra["solve_samples"]) == (1, 4)


def test_a_measurement_of_something_else_is_another_file(tmp_path: Path) -> None:
    cfg, out = TrainRLConfig(), tmp_path / "out.jsonl"
    names = {part_file(c, out, n) for c in (cfg, replace(cfg, seed=7)) for n in (4, 8)}
    assert len(names) == 4
    assert part_file(TrainRLConfig(), out, 4) in names


def test_our_columns_win_over_the_sources() -> None:
    odd = replace(PROBLEMS[0], extra={"answer": "other", "solve_rate": 0.9})
    assert row_of(odd, 0.5, 2)["answer"] == "1"
    assert row_of(odd, 0.5, 2)["solve_rate"] == 0.5


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "o.jsonl")]
    assert main([*out, "--config-name", "smollm2", "train.mew=3"]) == 2
    assert "train.mew" in capsys.readouterr().err
    assert main([*out, "--samples", "0"]) == 2
    assert "--samples" in capsys.readouterr().err


def test_a_named_student_is_asked_as_it_is_before_a_conversation(tmp_path: Path) -> None:
    cfg, seen = TrainRLConfig(), list[str]()
    cfg.generation.students = {
        "plus": StudentEntry(
            persona="prompt_templates/students/misconception.txt",
            kind="misconception",
            misconception="forgets_carry",
        ),
        "plain": StudentEntry(persona="prompt_templates/personas/simple_student.txt"),
        "own": StudentEntry(
            persona="prompt_templates/personas/simple_student.txt",
            model=ModelSettings(model_name_or_path="another"),
        ),
        "script": StudentEntry(
            persona="prompt_templates/personas/simple_student.txt",
            replies="utils.students.pressure:rapport",
        ),
    }

    def answer(ask: Ask) -> str:
        seen.append(ask.text)
        return r"\boxed{1}"

    for name in ("plus", "plain"):
        asked, before = Asked.of(cfg, name), len(seen)
        with Background() as loop:
            own = participant("student", ScriptedProvider(answer))
            rows = measure(
                cfg, own, loop, PROBLEMS[:1], samples=2, part=tmp_path / name, policy=asked.policy
            )
        assert rows["0"]["solve_student"] == name and rows["0"]["solve_rate"] == 1.0
        assert all(("carry nothing" in text) == (name == "plus") for text in seen[before:])
    assert Asked.of(cfg, "own").role.model.model_name_or_path == "another"
    assert Asked.of(cfg, None).role.setting == "student_model"
    for name in ("nobody", "script"):
        with pytest.raises(ConfigError, match="--student"):
            Asked.of(cfg, name)
