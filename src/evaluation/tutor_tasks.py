"""MathTutorBench's nine tasks: what is asked of each row, with the benchmark's own columns.

What a row shows, how an answer is read and when it is right follow the benchmark
(eth-lre/mathtutorbench, commit 54b6213), also where one would do it otherwise: only so can a number
stand beside its leaderboard.  docs/evaluation.md says for each task what is comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from config.errors import ConfigError
from config.schema import DatasetEntry, EvalConfig
from src.evaluation.items import Item
from src.evaluation.task_answers import (
    error_step,
    final_number,
    last_number,
    number_of,
    questions_of,
    says_incorrect,
)
from src.evaluation.task_rows import (
    GSM8K,
    STEPVERIFY,
    StudentWork,
    dialog_lines,
    message,
    next_turn,
    student_work,
    text_in,
    worked_answer,
)
from src.evaluation.task_texts import SETTING, TaskText, checkout_folder, task_text
from utils.data.load import load_conversations
from utils.data.problems import Problem
from utils.data.rows.bad_rows import BadRow
from utils.metrics.benchmark_metrics import GOLD
from utils.metrics.comparable import HUMAN_TURN, OWN_PROMPTS, PROMPTS
from utils.records import Solution

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task: its items of a row, the columns that it needs, and where its data are."""

    items: Callable[[TaskText, Row], Iterator[Item]]
    needed: tuple[str, ...]
    data: DatasetEntry  # a path in the benchmark's checkout, or a hub id
    renamed: Mapping[str, str]  # names of columns in older configs


def tutor_items(cfg: EvalConfig) -> list[Item]:
    """Every item of the tasks that the settings name (none: scaffolding).  Raises ConfigError."""
    return [item for name in task_names(cfg) for item in _items(cfg, name)]


def task_names(cfg: EvalConfig) -> list[str]:
    """The benchmark's names of the tasks to ask."""
    given = cfg.eval.tasks or ["scaffolding"]
    if given == ["all"]:
        return list(TASKS)
    names = [ALIASES.get(name, name) for name in given]
    for name in names:
        if name not in TASKS:
            known = ", ".join([*ALIASES, *TASKS])
            raise ConfigError(f"eval.tasks: {name!r} is not one of all, {known}")
    return list(dict.fromkeys(names))


def _items(cfg: EvalConfig, name: str) -> list[Item]:
    task, text = TASKS[name], task_text(name, cfg.eval.mathtutorbench_path)
    own = {PROMPTS: OWN_PROMPTS if text.is_own else "mathtutorbench"}

    def read(row: Row, where: str) -> list[Item]:
        at = where.rsplit("/", 1)[-1]
        return [
            replace(
                item,
                stops=text.stops,
                problem=replace(
                    item.problem,
                    id=f"{name}:{at}{item.problem.id}",
                    source=name,
                    extra={**item.problem.extra, **own},
                ),
            )
            for item in task.items(text, row)
        ]

    rows = load_conversations(
        _entries(cfg, name, task),
        read,
        seed=cfg.seed,
        limit=cfg.dataset.max_val_examples,
        setting="dataset.eval_datasets",
        needed=task.needed,
        bad_rows=cfg.dataset.bad_rows,
    )
    return [item for made in rows for item in made]


def _entries(cfg: EvalConfig, name: str, task: Task) -> list[DatasetEntry]:
    """The data that the settings name, else the benchmark's own."""
    if cfg.dataset.eval_datasets:
        return [_renamed(entry, task) for entry in cfg.dataset.eval_datasets]
    data = task.data
    if data.name_or_path.endswith(".json"):
        checkout = cfg.eval.mathtutorbench_path
        if not checkout:
            raise ConfigError(
                f"dataset.eval_datasets: {name} reads {data.name_or_path} of the benchmark's "
                f"repository; name that file, or its checkout as {SETTING}"
            )
        data = replace(data, name_or_path=str(checkout_folder(checkout) / data.name_or_path))
    return [data]


def _renamed(entry: DatasetEntry, task: Task) -> DatasetEntry:
    columns = {task.renamed.get(ours, ours): theirs for ours, theirs in entry.columns.items()}
    return replace(entry, columns=columns)


# -- the tasks ----------------------------------------------------------------------------------


def _next_turn(text: TaskText, row: Row) -> Iterator[Item]:
    """The next tutor turn, to be compared with the human's.  A row's problem may be empty."""
    before, human = next_turn(row)
    question, solution = text_in(row, "problem"), text_in(row, "reference_solution")
    asked = {"question": question, "dialog_history": dialog_lines(before)}
    problem = Problem(
        id="",
        text=question,
        answer=solution.strip().split("\n")[-1].strip(),
        source="",
        extra={"solution": solution, HUMAN_TURN: human},
    )
    history = tuple(message(who, said) for who, said in before)
    yield Item(problem=problem, text=text.render(asked), history=history)


def _problem_solving(text: TaskText, row: Row) -> Iterator[Item]:
    question, answer = text_in(row, "question"), text_in(row, "answer")
    gold = worked_answer(answer)
    problem = Problem(id="", text=question, answer=gold, source="", extra={"solution": answer})
    yield Item(
        problem=problem,
        text=text.render({"question": question}),
        read=partial(_graded_number, last_number, number_of(gold)),
    )


def _socratic_questioning(text: TaskText, row: Row) -> Iterator[Item]:
    """Questions that lead to the solution, beside the data's own; by BLEU."""
    question, answer = text_in(row, "question"), text_in(row, "answer")
    questions = questions_of(answer)
    if not questions:
        what = "no line of the answer is `QUESTION ** STEP`"
        raise BadRow("without questions", what, marked=True)  # the benchmark passes over it too

    def read(said: str) -> Solution:
        from sacrebleu import sentence_bleu  # the benchmark's own scorer

        score = max(sentence_bleu(line.strip(), questions).score for line in said.split("\n"))
        return Solution(text=said, score=score / 100)

    problem = Problem(id="", text=question, answer="\n".join(questions), source="", extra={})
    yield Item(problem=problem, text=text.render({"question": question}), read=read)


def _work_item(
    text: TaskText, work: StudentWork, gold: str, read: Callable[[str], Solution]
) -> Item:
    problem = Problem(
        id=":wrong" if work.is_error else ":correct",
        text=work.question,
        answer=work.answer,
        source="",
        extra={"solution": work.reference_solution, GOLD: gold},
    )
    return Item(problem=problem, text=text.render(work.values()), read=read)


def _solution_correctness(text: TaskText, row: Row) -> Iterator[Item]:
    """Is what a student wrote right?  Each row has one that is not, and one that is."""
    for work in student_work(row):
        gold = "wrong" if work.is_error else "correct"
        yield _work_item(text, work, gold, partial(_judged, gold))


def _judged(gold: str, said: str) -> Solution:
    answer = "wrong" if says_incorrect(said) else "correct"
    return Solution(text=said, answer=answer, correct=answer == gold)


def _mistake_location(text: TaskText, row: Row) -> Iterator[Item]:
    """The number of the first wrong step, 0 where there is none."""
    for work in student_work(row, with_step=True):
        gold = str(work.error_step)
        yield _work_item(text, work, gold, partial(_located, gold))


def _located(gold: str, said: str) -> Solution:
    answer = str(error_step(said))
    return Solution(text=said, answer=answer, correct=answer == gold)


def _mistake_correction(text: TaskText, row: Row) -> Iterator[Item]:
    """The right answer, where a student has gone wrong."""
    wrong, _ = student_work(row)
    problem = Problem(
        id="",
        text=wrong.question,
        answer=wrong.answer,
        source="",
        extra={"solution": wrong.reference_solution},
    )
    gold = number_of(wrong.answer)
    read = partial(_graded_number, final_number, gold)
    yield Item(problem=problem, text=text.render(wrong.values()), read=read)


def _graded_number(find: Callable[[str], float | None], gold: float, said: str) -> Solution:
    found = find(said)
    right = found is not None and abs(found - gold) < 1e-6
    return Solution(text=said, answer=None if found is None else f"{found:g}", correct=right)


def _dialog(items: Callable[[TaskText, Row], Iterator[Item]], file: str) -> Task:
    return Task(
        items=items,
        needed=("problem", "reference_solution", "dialog_history"),
        data=DatasetEntry(name_or_path=f"datasets/{file}.json"),
        renamed={"solution": "reference_solution"},
    )


def _solving(items: Callable[[TaskText, Row], Iterator[Item]], part: str) -> Task:
    return Task(
        items=items,
        needed=("question", "answer"),
        data=DatasetEntry(name_or_path=GSM8K, split="test", parameters={"name": part}),
        renamed={"problem": "question", "solution": "answer"},
    )


def _student(items: Callable[[TaskText, Row], Iterator[Item]], *more: str) -> Task:
    return Task(
        items=items,
        needed=("problem", "reference_solution", "student_incorrect_solution", *more),
        data=DatasetEntry(name_or_path=STEPVERIFY, split="train"),
        renamed={
            "solution": "reference_solution",
            "student_solution": "student_incorrect_solution",
        },
    )


ALIASES = {"scaffolding": "scaffolding_generation"}
TASKS: dict[str, Task] = {
    "problem_solving": _solving(_problem_solving, "main"),
    "socratic_questioning": _solving(_socratic_questioning, "socratic"),
    "solution_correctness": _student(_solution_correctness),
    "mistake_location": _student(_mistake_location, "incorrect_index"),
    "mistake_correction": _student(_mistake_correction),
    "scaffolding_generation": _dialog(_next_turn, "mathdial_bridge"),
    "pedagogy_following": _dialog(_next_turn, "mathdial_bridge"),
    "scaffolding_generation_hard": _dialog(_next_turn, "mathdial_bridge_hard"),
    "pedagogy_following_hard": _dialog(_next_turn, "mathdial_bridge_hard"),
}
