"""What benchmarks ask and how answers are read: real slices, and answers of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, EvalConfig
from src.evaluation.items import grade_answer, grade_choice, reasoning_items


def config(
    path: Path,
    task: str = "reasoning",
    columns: dict[str, str] | None = None,
    **eval_settings: object,
) -> EvalConfig:
    cfg = EvalConfig()
    cfg.eval.task = task
    for key, value in eval_settings.items():
        setattr(cfg.eval, key, value)
    entry = DatasetEntry(name_or_path=str(path), columns=columns or {})
    cfg.dataset.eval_datasets = [entry]
    cfg.dataset.train_datasets = [entry]
    cfg.dataset.max_val_examples = -1
    return cfg


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        (r"So \boxed{72}.", "72", True),
        (r"First \boxed{1}, no: \boxed{\frac{1}{2}}", "0.5", True),
        ("The answer is 1,000 dollars.", "1000", True),
        ("It is 12, or rather 13.", "12", False),
        ("", "72", False),
    ],
)
def test_answers(text: str, answer: str, right: bool) -> None:
    assert grade_answer(text, answer).correct is right


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{\text{(C)}}", "C"),
        ("The answer is (D).", "D"),
        ("A is wrong; the correct option: b", "B"),
        ("Who knows?", None),
        (r"<think>The answer is A</think> The answer is **C**", "C"),
    ],
)
def test_choices(text: str, letter: str | None) -> None:
    solution = grade_choice(text, "B")
    assert solution.answer == letter
    assert solution.correct is (letter == "B")


def test_gsm8k_and_math500_slices(shared_data: Path) -> None:
    gsm8k = config(
        shared_data / "gsm8k-train-600.jsonl", columns={"problem": "question"}, few_shot=4
    )
    items = reasoning_items(gsm8k)
    assert len(items) == 600
    assert [m["role"] for m in items[0].chat] == ["user", "assistant"] * 4 + ["user"]
    assert all(r"\boxed{" in m["content"] for m in items[0].chat if m["role"] == "assistant")
    assert items[0].problem.text in items[0].chat[-1]["content"]
    math = reasoning_items(config(shared_data / "math500-100.jsonl"))
    right = sum(
        item.read(str(item.problem.extra["solution"])).correct  # type: ignore[misc]
        for item in math[:20]
    )
    assert right == 20  # the reference solutions are right


def test_mmlu_rows_become_lettered_choices(tmp_path: Path) -> None:
    path = tmp_path / "mmlu.jsonl"
    row = {"question": "2+2?", "subject": "sums", "choices": ["3", "4", "5", "6"], "answer": 1}
    path.write_text(json.dumps(row) + "\n")
    [item] = reasoning_items(config(path, columns={"problem": "question", "source": "subject"}))
    assert "B. 4" in item.chat[0]["content"]
    assert item.problem.answer == "B" and item.problem.source == "sums"
    assert item.read is not None and item.read(r"\boxed{B}").correct


def test_too_few_examples_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"problem": "p", "answer": "4"}) + "\n")
    with pytest.raises(ConfigError, match=r"^eval.few_shot: 4 examples asked for, 1 there"):
        reasoning_items(config(path, few_shot=4))
