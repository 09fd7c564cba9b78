"""MathTutorBench's nine tasks: what is shown, how answers are read, whose texts, which data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import EvalConfig, EvalDatasetEntry
from src.evaluation.benchmarks import to_record
from src.evaluation.completions import until
from src.evaluation.items import Item
from src.evaluation.task_answers import error_step, final_number, last_number, says_incorrect
from src.evaluation.tutor_tasks import TASKS, tutor_items
from src.inference_providers.base import Completion
from tests.src.evaluation.benchmark_checkout import DATA, save_checkout, save_rows


def config(
    *tasks: str, checkout: Path | None = None, data: Path | None = None, **columns: str
) -> EvalConfig:
    cfg = EvalConfig()
    cfg.eval.task, cfg.eval.tasks = "mathtutorbench", list(tasks)
    cfg.eval.mathtutorbench_path = str(checkout) if checkout else None
    cfg.dataset.max_val_examples = -1
    if data is not None:
        cfg.dataset.eval_datasets = [EvalDatasetEntry(name_or_path=str(data), columns=columns)]
    return cfg


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return save_checkout(tmp_path / "checkout")


def items_of(task: str, checkout: Path | None, tmp_path: Path) -> list[Item]:
    """The items of a task over the rows that stand for its data on the hub."""
    kind = {"problem_solving": "gsm8k", "socratic_questioning": "socratic"}.get(task, "stepverify")
    return tutor_items(config(task, checkout=checkout, data=rows_of(kind, tmp_path)))


def rows_of(kind: str, tmp_path: Path) -> Path:
    return save_rows(tmp_path / f"{kind}.jsonl", DATA[kind])


def read(item: Item, answer: str) -> tuple[str | None, bool]:
    assert item.read is not None
    solution = item.read(answer)
    return solution.answer, solution.correct


def test_every_task_of_a_checkout_is_asked_in_its_own_text(checkout: Path, tmp_path: Path) -> None:
    for task in TASKS:
        if TASKS[task].data.name_or_path.endswith(".json"):
            items = tutor_items(config(task, checkout=checkout))
        else:
            items = items_of(task, checkout, tmp_path)
        assert items and all(item.problem.source == task for item in items)
        assert all(item.problem.extra["benchmark_prompts"] == "mathtutorbench" for item in items)
        assert all(item.text and not item.text.endswith("\n") and item.stops for item in items)
        assert not any(item.chat for item in items)
        assert len({item.problem.id for item in items}) == len(items)


def test_a_text_is_rendered_to_the_last_space_with_its_shots(
    checkout: Path, tmp_path: Path
) -> None:
    [solving] = items_of("problem_solving", checkout, tmp_path)
    assert solving.text == "one shot\n|How much are two dozens?\nA:"
    assert solving.stops == ("Question:",)
    [correction] = items_of("mistake_correction", checkout, tmp_path)
    assert correction.text == (
        "Six boxes of 1,000 pens, less 2. How many?\nTeacher: Hi! How did you do it?\n"
        "Student: I added 6 and 1,000.\nTeacher: "
    )


def test_a_student_is_shown_as_in_the_dialog_and_in_steps(checkout: Path, tmp_path: Path) -> None:
    wrong, right = sorted(
        items_of("solution_correctness", checkout, tmp_path),
        key=lambda item: item.problem.extra["gold"],
        reverse=True,
    )
    assert wrong.problem.extra["gold"] == "wrong" and right.problem.extra["gold"] == "correct"
    assert "Student: I added 6 and 1,000.\n" in (wrong.text or "")
    assert "Student: I took 6*1,000 and then 2 off.\n" in (right.text or "")
    first, second = items_of("mistake_location", checkout, tmp_path)
    steps = {item.problem.extra["gold"]: item.text or "" for item in (first, second)}
    assert r"Step 1 - 6+1,000=1,006\nStep 2 - 1,006-2=1,004" in steps["1"]
    assert r"Step 1 - 6*1,000=6,000 pens\nStep 2 - 6,000-2=5,998" in steps["0"]
    assert "1004" not in steps["1"], "the bare answer is not shown"


def test_a_dialog_ends_before_the_human_tutor(checkout: Path) -> None:
    items = tutor_items(config("scaffolding", checkout=checkout))
    assert len(items) == 3, "a row without a problem is an item too"
    by_text = {item.problem.text: item for item in items}
    item = by_text["What is 2 + 1?"]
    assert item.text == (
        "scaffolding_generation: What is 2 + 1?\nTeacher: Tell me.\nStudent: It is 9.\n"
        "Teacher (short): "
    )
    assert item.problem.extra["human_turn"] == "How do you get 9 from 2?"
    assert item.problem.extra["solution"] == "Add one.\n 3"
    assert by_text[""].problem.extra["solution"] == "N/A"
    record = to_record(item, 0, "r", Completion(text="Why 9?", stop_reason="stop"))
    assert [m.role for m in record.messages] == ["teacher", "student", "teacher"]
    assert record.messages[-1].visible == "Why 9?"


@pytest.mark.parametrize(
    ("said", "number"),
    [("It is 12.", 12.0), ("3.5 or -7.25.", -7.25), ("1,234", 234.0), (".5", 0.5), ("none", None)],
)
def test_the_last_number(said: str, number: float | None) -> None:
    assert last_number(said) == number


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Final Answer: $1,234.5, not 7", 1234.5),
        ("First 3, then $1,234", 1234.0),
        ("Final Answer: 5-3", None),
        ("Final Answer: seven. 7", 7.0),
        ("none", None),
    ],
)
def test_the_final_number(said: str, number: float | None) -> None:
    assert final_number(said) == number


def test_yes_no_and_steps_are_read_as_the_benchmark_reads_them() -> None:
    assert [says_incorrect(s) for s in ("Yes", "No.", "no, yes", "I know", "maybe", "")] == [
        True, False, True, False, True, True,
    ]  # fmt: skip
    assert [error_step(s) for s in ("Step 2 of 3", "none", "0")] == [2, 0, 0]


def test_answers_are_graded_by_task(checkout: Path, tmp_path: Path) -> None:
    [solving] = items_of("problem_solving", checkout, tmp_path)
    assert read(solving, "24... Final answer: 1024") == ("1024", True)
    assert read(solving, "1,024") == ("24", False), "as in the benchmark"
    [correction] = items_of("mistake_correction", checkout, tmp_path)
    assert read(correction, "So 6,000 - 2. Final Answer: $5,998") == ("5998", True)
    items = items_of("solution_correctness", checkout, tmp_path)
    by_gold = {item.problem.extra["gold"]: item for item in items}
    assert read(by_gold["wrong"], "Yes") == ("wrong", True)
    assert read(by_gold["correct"], "Yes") == ("wrong", False)
    located = {i.problem.extra["gold"]: i for i in items_of("mistake_location", checkout, tmp_path)}
    assert read(located["1"], "Step 1") == ("1", True)
    assert read(located["0"], "All right.") == ("0", True)


def test_questions_are_scored_by_bleu_beside_the_datas_own(checkout: Path, tmp_path: Path) -> None:
    [item] = items_of("socratic_questioning", checkout, tmp_path)  # the row without any is left out
    assert item.read is not None
    same = item.read("How much is a dozen?")
    assert same.score == pytest.approx(1.0)
    assert item.read("").score == 0.0
    # of six tokens five are there, of five pairs three, of four triples two, of three fours one
    near = item.read("How much is a score?")
    assert near.score == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


@pytest.mark.parametrize(
    ("text", "stops", "kept"),
    [
        (" Why?\nStudent: x Teacher: y", ["Teacher:", "Student:"], "Why?"),
        ("a\n\nb", ["\n\n"], "a"),
        ("Student: x", ["Student:"], ""),
        (" whole ", [], "whole"),
    ],
)
def test_an_answer_ends_at_its_first_stop(text: str, stops: Sequence[str], kept: str) -> None:
    assert until(text, stops) == kept


@pytest.mark.parametrize("task", list(TASKS))
def test_our_own_texts_show_what_the_benchmark_shows(task: str, tmp_path: Path) -> None:
    if TASKS[task].data.name_or_path.endswith(".json"):
        folder = save_checkout(tmp_path / "for_data")
        items = tutor_items(config(task, data=folder / "datasets" / "mathdial_bridge.json"))
    else:
        items = items_of(task, None, tmp_path)
    for item in items:
        assert item.text is not None and item.problem.extra["benchmark_prompts"] == "own"
        assert item.problem.text in item.text
        human = item.problem.extra.get("human_turn")
        assert human is None or (human not in item.text and "It is 9." in item.text)
        answer = item.problem.answer if human is None else "Add one"
        assert answer not in item.text.replace(item.problem.text, "")
        assert "{{" not in item.text and item.text.rstrip().endswith((":",))


def test_the_mathdial_slice_without_a_dialog(shared_data: Path) -> None:
    """Rows of another data set, under the older names of columns."""
    cfg = config(
        "solution_correctness",
        "mistake_correction",
        data=shared_data / "mathdial-test-200.jsonl",
        problem="question",
        solution="ground_truth",
        student_solution="student_incorrect_solution",
    )
    cfg.dataset.bad_rows = "drop"
    items = tutor_items(cfg)
    assert sum(i.problem.source == "solution_correctness" for i in items) == 400
    fixed = next(i for i in items if i.problem.source == "mistake_correction")
    assert read(fixed, f"Final Answer: {fixed.problem.answer}")[1]


def test_the_scaffolding_slice_as_it_is(shared_data: Path) -> None:
    path = shared_data / "mathtutorbench-scaffolding-150.json"
    items = tutor_items(config("scaffolding", data=path))
    old = tutor_items(config("scaffolding", data=path, solution="reference_solution"))
    assert len(items) == len({i.problem.id for i in items}) == 150
    assert [i.text for i in items] == [i.text for i in old]
    item = next(i for i in items if "Ignatius" in i.problem.text)
    assert item.problem.extra["human_turn"] == "How do you know his friend has 12 tyres?"
    assert item.problem.extra["human_turn"] not in (item.text or "")


def test_what_cannot_be_asked_is_said_in_one_line(checkout: Path, tmp_path: Path) -> None:
    rows = save_rows(tmp_path / "rows.jsonl", [{"problem": "p", "reference_solution": "4",
                                                "dialog_history": []}])  # fmt: skip
    cases = [
        (config("poetry"), r"^eval.tasks: 'poetry' is not one of all, scaffolding"),
        (config("scaffolding"), r"^dataset.eval_datasets: scaffolding_generation reads datasets/"),
        (config("scaffolding", data=rows), r"rows.jsonl:1: dialog_history must end"),
        (config("mistake_location", data=rows), r"columns.student_incorrect_solution"),
        (
            config("scaffolding", checkout=tmp_path),
            r"^eval.mathtutorbench_path: .* no folder",
        ),
    ]
    for cfg, line in cases:
        with pytest.raises(ConfigError, match=line):
            tutor_items(cfg)
    (checkout / "configs" / "task0.yaml").write_text("name: problem_solving\nsystem_prompt: '{{ x'")
    with pytest.raises(ConfigError, match=r"^eval.mathtutorbench_path: .*task0.yaml: "):
        items_of("problem_solving", checkout, tmp_path)
    (checkout / "configs" / "task0.yaml").write_text("name: [")
    with pytest.raises(ConfigError, match=r"^eval.mathtutorbench_path: .*task0.yaml: "):
        items_of("problem_solving", checkout, tmp_path)
    for path in (checkout / "configs").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"has the name problem_solving"):
        items_of("problem_solving", checkout, tmp_path)


def test_all_is_every_task_with_the_benchmarks_data(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is not asked here: its sets stand in folders of these names."""
    monkeypatch.chdir(tmp_path)
    for name, file in (("openai/gsm8k", "gsm8k"), ("eth-nlped/stepverify", "stepverify")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for split in ("test", "train"):
            save_rows(folder / f"{split}.jsonl", DATA[file])
    cfg = config("all", checkout=checkout)
    with pytest.raises(ConfigError, match="openai/gsm8k"):  # this folder has no set `main`
        tutor_items(cfg)
    cfg = config("solution_correctness", "pedagogy_following_hard", checkout=checkout)
    assert len(tutor_items(cfg)) == 5
