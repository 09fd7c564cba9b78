"""MathTutorBench's tasks: the next tutor turn, solving, checking and correcting a solution."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from config.errors import ConfigError
from config.schema import EvalConfig
from src.evaluation.items import Item, grade_answer, reasoning_item, say
from src.inference_providers.base import ChatMessage
from utils.data.bad_rows import BadRow
from utils.data.escapes import repaired
from utils.data.load import load_conversations
from utils.data.messages import problem_text
from utils.data.problems import Problem
from utils.data.references import read_reference
from utils.metrics.benchmark_metrics import GOLD, HUMAN_TURN
from utils.records import Message, Solution


def tutor_items(cfg: EvalConfig) -> list[Item]:
    """Every item of the tasks that the settings name (none: scaffolding).  Raises ConfigError."""
    for task in cfg.eval.tasks:
        if task not in TASKS:
            raise ConfigError(f"eval.tasks: {task!r} is not one of {', '.join(TASKS)}")
    return [item for task in cfg.eval.tasks or ["scaffolding"] for item in _items(cfg, task)]


def _items(cfg: EvalConfig, task: str) -> list[Item]:
    make, needed = TASKS[task]
    rows = load_conversations(
        cfg.dataset.eval_datasets,
        make,
        seed=cfg.seed,
        limit=cfg.dataset.max_val_examples,
        setting="dataset.eval_datasets",
        needed=needed,
        bad_rows=cfg.dataset.bad_rows,
    )
    return [item for made in rows for item in made]


def _problem(
    row: Mapping[str, Any], where: str, task: str, part: str = "", **extra: Any
) -> Problem:
    """The row as a problem; its solution ends with the answer, alone or as references do."""
    solution = problem_text(repaired(row["solution"]))
    answer, around = read_reference(solution)
    if not around:
        answer = answer.split()[-1]
    return Problem(
        id=f"{task}:{where.rsplit('/', 1)[-1]}{part}",
        text=problem_text(repaired(row["problem"])),
        answer=answer,
        source=task,
        extra={"solution": solution, **extra},
    )


def _scaffolding(row: Mapping[str, Any], where: str) -> list[Item]:
    """The next tutor turn, to be compared with the human's."""
    before, human = _human_turn(row)
    history = tuple(
        Message(role="teacher" if who == "teacher" else "student", content=text, visible=text)
        for who, text in before
    )
    problem = _problem(row, where, "scaffolding", **{HUMAN_TURN: human})
    system = say("scaffolding", problem=problem.text, solution=problem.extra["solution"])
    chat: list[ChatMessage] = [{"role": "system", "content": system}]
    if history and history[0].role == "teacher":
        chat.append({"role": "user", "content": say("scaffolding_opening")})
    for message in history:
        role = "assistant" if message.role == "teacher" else "user"
        chat.append({"role": role, "content": message.content})  # type: ignore[typeddict-item]
    return [Item(problem=problem, chat=chat, history=history)]


def _human_turn(row: Mapping[str, Any]) -> tuple[list[tuple[str, str]], str]:
    """(turns before, the human's): a column `ground_truth_response`, else the last turn.

    Raises BadRow.
    """
    try:
        turns = [(str(t["user"]).lower(), str(t["text"])) for t in row["dialog_history"]]
        given = row.get("ground_truth_response")
        if given:
            return turns, str(given["text"] if isinstance(given, Mapping) else given)
    except (KeyError, TypeError):
        raise BadRow("malformed", "dialog_history wants [{user, text}, ...]") from None
    if not turns or turns[-1][0] != "teacher":
        raise BadRow("malformed", "dialog_history must end with the human teacher's turn")
    return turns[:-1], turns[-1][1]


def _problem_solving(row: Mapping[str, Any], where: str) -> list[Item]:
    return [reasoning_item(_problem(row, where, "problem_solving"), ())]


def _correctness(row: Mapping[str, Any], where: str) -> list[Item]:
    """Is a student's solution right?  Each row gives a wrong one and the reference."""
    made = []
    for gold, key in (("wrong", "student_solution"), ("correct", "solution")):
        problem = _problem(row, where, "solution_correctness", f":{gold}", **{GOLD: gold})
        text = say("solution_correctness", problem=problem.text, student_solution=_steps(row[key]))
        chat: list[ChatMessage] = [{"role": "user", "content": text}]
        made.append(Item(problem=problem, chat=chat, read=_verdict_reader(gold)))
    return made


def _steps(solution: object) -> str:
    """A solution line by line, without a last line that is nothing but the answer."""
    lines = solution if isinstance(solution, list) else str(solution).strip().splitlines()
    bare = len(lines) > 1 and len(str(lines[-1]).replace("####", "").split()) <= 1
    return "\n".join(str(line).strip() for line in (lines[:-1] if bare else lines))


def _verdict_reader(gold: str) -> Callable[[str], Solution]:
    def read(text: str) -> Solution:
        said = re.findall(r"\b(correct|wrong|incorrect)\b", text.lower())
        answer = {"incorrect": "wrong"}.get(said[-1], said[-1]) if said else None
        return Solution(text=text, answer=answer, correct=answer == gold)

    return read


def _correction(row: Mapping[str, Any], where: str) -> list[Item]:
    """The right answer, given a student's wrong solution."""
    problem = _problem(row, where, "mistake_correction")
    student = _steps(row["student_solution"])
    text = say("mistake_correction", problem=problem.text, student_solution=student)
    return [
        Item(
            problem=problem,
            chat=[{"role": "user", "content": text}],
            read=lambda answer: grade_answer(answer, problem.answer),
        )
    ]


#: task -> (items of one row, columns that it needs)
TASKS: dict[str, tuple[Callable[[Mapping[str, Any], str], list[Item]], tuple[str, ...]]] = {
    "scaffolding": (_scaffolding, ("problem", "solution", "dialog_history")),
    "problem_solving": (_problem_solving, ("problem", "solution")),
    "solution_correctness": (_correctness, ("problem", "solution", "student_solution")),
    "mistake_correction": (_correction, ("problem", "solution", "student_solution")),
}
