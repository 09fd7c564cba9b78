"""What benchmarks ask and how answers are read: real slices, and answers of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, EvalConfig
from src.evaluation.benchmarks import to_record
from src.evaluation.items import grade_answer, grade_choice, reasoning_items
from src.evaluation.scores import score_all
from src.evaluation.tutor_tasks import tutor_items
from src.inference_providers.base import Completion
from utils.metrics.benchmark_metrics import benchmark_metrics
from utils.records import ConversationRecord


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


def say(text: str) -> Completion:
    return Completion(text=text, stop_reason="stop", completion_tokens=3)


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


def test_scaffolding_slice(shared_data: Path) -> None:
    cfg = config(
        shared_data / "mathtutorbench-scaffolding-150.json",
        "mathtutorbench",
        {"solution": "reference_solution"},
    )
    items = tutor_items(cfg)
    assert len({item.problem.id for item in items}) == 150
    item = next(i for i in items if "Ignatius" in i.problem.text)
    assert [m["role"] for m in item.chat] == ["system", "user", "assistant", "user"]
    assert item.problem.extra["human_turn"] == "How do you know his friend has 12 tyres?"
    assert item.problem.extra["human_turn"] not in str(item.chat)
    record = to_record(item, 0, "r", say("Why 12?"))
    assert [m.role for m in record.messages] == ["teacher", "student", "teacher"]
    assert record.messages[-1].visible == "Why 12?"


def test_mathdial_slice_as_correctness_and_correction(shared_data: Path) -> None:
    columns = {"problem": "question", "solution": "ground_truth",
               "student_solution": "student_incorrect_solution"}  # fmt: skip
    cfg = config(
        shared_data / "mathdial-test-200.jsonl",
        "mathtutorbench",
        columns,
        tasks=["solution_correctness", "mistake_correction"],
    )
    items = tutor_items(cfg)
    assert len(items) == 600
    same = [item for item in items if item.problem.text == items[0].problem.text]
    wrong = next(item for item in same if item.problem.extra.get("gold") == "wrong")
    correct = next(item for item in same if item.problem.extra.get("gold") == "correct")
    assert wrong.read is not None and correct.read is not None
    assert wrong.read("... so it is wrong").correct and not wrong.read("correct").correct
    assert correct.read("Wrong? No.\ncorrect").correct
    assert wrong.read("This is incorrect.").answer == "wrong"
    last = str(wrong.chat[0]["content"]).rstrip().splitlines()[-1]
    assert len(last.split()) > 1  # the bare answer is not shown
    fix = next(i for i in items if i.problem.source == "mistake_correction")
    assert fix.read is not None and fix.read(rf"\boxed{{{fix.problem.answer}}}").correct


def test_unknown_task_and_bad_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"problem": "p", "solution": "4", "dialog_history": []}) + "\n")
    with pytest.raises(ConfigError, match=r"^eval.tasks: 'poetry' is not one of scaffolding"):
        tutor_items(config(path, "mathtutorbench", tasks=["poetry"]))
    with pytest.raises(ConfigError, match=r"rows.jsonl:1: dialog_history must end"):
        tutor_items(config(path, "mathtutorbench"))
    with pytest.raises(ConfigError, match=r"^eval.few_shot: 4 examples asked for, 1 there"):
        path.write_text(json.dumps({"problem": "p", "answer": "4"}) + "\n")
        reasoning_items(config(path, few_shot=4))


class Lengths:
    """A scorer that likes long last messages."""

    def score(self, chats: list[list[dict[str, str]]]) -> list[float]:
        return [float(len(chat[-1]["content"])) for chat in chats]


def scaffolded(number: int, ours: str, human: str) -> ConversationRecord:
    item_path_free = {"human_turn": human}
    return ConversationRecord(
        problem_id=str(number),
        problem="p",
        answer="4",
        source="scaffolding",
        extra=item_path_free,
        messages=[
            {"role": "student", "content": "s", "visible": "s"},
            {"role": "teacher", "content": ours, "visible": ours},
        ],  # type: ignore[list-item]
    )


def test_win_rate_compares_with_the_human_turn() -> None:
    rows = [scaffolded(0, "longer", "short"), scaffolded(1, "a", "bb"), scaffolded(2, "eq", "ui")]
    scored = score_all(Lengths(), rows)  # type: ignore[arg-type]
    assert [r.ped_rm for r in scored] == [[6.0], [1.0], [2.0]]
    assert [r.extra["human_ped_rm"] for r in scored] == [5.0, 2.0, 2.0]
    assert benchmark_metrics(scored)["win_rate"]["mean"] == pytest.approx(1 / 3)
    assert score_all(Lengths(), scored) == scored  # type: ignore[arg-type]


def test_f1_of_finding_wrong_solutions() -> None:
    def row(number: int, gold: str, answer: str | None) -> ConversationRecord:
        return ConversationRecord(
            problem_id=str(number),
            problem="p",
            answer="4",
            source="solution_correctness",
            extra={"gold": gold},
            solutions=[{"text": "", "answer": answer, "correct": gold == answer}],  # type: ignore[list-item]
        )

    rows = [row(0, "wrong", "wrong"), row(1, "wrong", "correct"), row(2, "correct", "wrong"),
            row(3, "correct", "correct"), row(4, "wrong", None)]  # fmt: skip
    found = benchmark_metrics(rows)
    # one hit; three wrong ones, two called wrong: 2 * 1 / (3 + 2)
    assert found["f1_wrong"]["mean"] == pytest.approx(0.4)
    assert found["accuracy"]["mean"] == pytest.approx(0.4)
