"""What a benchmark asks, one item at a time, and a way to read the answer.

Reasoning problems are here, MathTutorBench's tasks in tutor_tasks.py; prompts are in
prompt_templates/benchmarks/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from config.errors import ConfigError
from config.schema import EvalConfig
from src.inference_providers.base import ChatMessage
from utils.answers.equality import equal, is_correct, last_boxed
from utils.answers.reading.spoken_numbers import numbers_in
from utils.data.load import load_problems
from utils.data.overlap import say_shared
from utils.data.problems import Problem
from utils.prompts import load_prompt
from utils.records import Message, Solution

FOLDER = "prompt_templates/benchmarks"
LETTERS = "ABCDEFGHIJ"
_CHOSEN = re.compile(r"(?:answer|option|choice)\W{0,6}(?:is\W{0,6})?\(?([A-J])\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question: a chat to answer, or a text to continue up to one of its `stops`.

    `history` is what was said before; `read` turns what others see of an answer into a solution.
    """

    problem: Problem
    chat: list[ChatMessage] = field(default_factory=list)
    text: str | None = None
    stops: tuple[str, ...] = ()
    history: tuple[Message, ...] = ()
    read: Callable[[str], Solution] | None = None  # None: the answer is a tutor's turn


def say(name: str, **values: Any) -> str:
    """A benchmark's prompt, rendered."""
    path, names = f"{FOLDER}/{name}.txt", frozenset(values)
    prompt = load_prompt(path, setting="eval.tasks", variables=names, trial=False)
    return prompt.render(**values)


def reasoning_items(cfg: EvalConfig) -> list[Item]:
    """GSM8K, MATH500, MMLU or any other problems with answers; `eval.few_shot` examples first."""
    problems = load_problems(
        cfg.dataset.eval_datasets,
        seed=cfg.seed,
        limit=cfg.dataset.max_val_examples,
        setting="dataset.eval_datasets",
        bad_rows=cfg.dataset.bad_rows,
    )
    examples = _examples(cfg)
    say_shared(examples, problems)
    shots = [message for example in examples for message in _worked(example)]
    return [reasoning_item(problem, shots) for problem in problems]


def _examples(cfg: EvalConfig) -> list[Problem]:
    wanted = cfg.eval.few_shot
    if wanted == 0:
        return []
    if not cfg.dataset.train_datasets:
        raise ConfigError("dataset.train_datasets: eval.few_shot takes its examples from there")
    found = load_problems(cfg.dataset.train_datasets, seed=cfg.seed, bad_rows=cfg.dataset.bad_rows)[
        :wanted
    ]
    if len(found) < wanted:
        raise ConfigError(f"eval.few_shot: {wanted} examples asked for, {len(found)} there")
    return found


def choices_of(problem: Problem) -> list[str]:
    """The options of a multiple-choice problem (a column `choices`); empty for others."""
    choices = problem.extra.get("choices")
    return [str(choice) for choice in choices] if isinstance(choices, Sequence) else []


def gold_of(problem: Problem) -> str:
    """The known answer; for a multiple-choice problem its letter (datasets often hold an index)."""
    if choices_of(problem) and problem.answer.isdigit():
        return LETTERS[int(problem.answer)]
    return problem.answer


def _ask(problem: Problem) -> ChatMessage:
    options = list(zip(LETTERS, choices_of(problem), strict=False))
    return {"role": "user", "content": say("reasoning", problem=problem.text, options=options)}


def _worked(problem: Problem) -> list[ChatMessage]:
    """An example with its solution, if the data has one, and the boxed answer."""
    solution = str(problem.extra.get("solution", ""))
    boxed = f"The answer is \\boxed{{{gold_of(problem)}}}."
    text = solution if last_boxed(solution) else f"{solution}\n{boxed}".strip()
    return [_ask(problem), {"role": "assistant", "content": text}]


def reasoning_item(problem: Problem, shots: Sequence[ChatMessage]) -> Item:
    """A problem to solve, after worked examples."""
    gold = replace(problem, answer=gold_of(problem))
    grade = grade_choice if choices_of(problem) else grade_answer
    return Item(
        problem=gold,
        chat=[*shots, _ask(problem)],
        read=lambda text: grade(text, gold.answer),
    )


def grade_answer(text: str, answer: str) -> Solution:
    """By the last box; an answer without any box by the last number that it says."""
    boxed = last_boxed(text)
    if boxed is not None:
        return Solution(text=text, answer=boxed, correct=is_correct(text, answer))
    numbers = numbers_in(text)
    last = str(numbers[-1]) if numbers else None
    return Solution(text=text, answer=last, correct=last is not None and equal(last, answer))


def grade_choice(text: str, answer: str) -> Solution:
    """By the letter in the last box, else the last letter said to be the answer."""
    boxed = re.search(r"\b([A-J])\b", last_boxed(text) or "")
    said = _CHOSEN.findall(text)
    letter = boxed[1] if boxed else said[-1].upper() if said else None
    return Solution(text=text, answer=letter, correct=letter == answer)
