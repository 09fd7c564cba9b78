"""Conversations that make the toy's two models: chat messages, as many as asked for, by seed.

Named in a config as `toy.conversations:student`, `:students`, `:comparing` and `:tutor`.  The
prompts are the classroom's own, so that a model meets in training what it will meet there.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from toy.problems import sums
from toy.student_conversations import Conversation, comparing, say, student, students
from toy.world import Sum, prompt, reply
from utils.seeding import keyed_rng
from utils.thinking import END_TAG, visible_text

__all__ = ["comparing", "student", "students", "tutor"]
MAX_TUTOR_TURNS = 3
#: What the tutor does next, by what it did last: habits that mix, none of them rare.
TUTOR_HABITS: dict[str, dict[str, float]] = {
    "start": {"tell": 0.30, "ones": 0.18, "tens": 0.10, "cheer": 0.42},
    "tell": {"tell": 0.15, "cheer": 0.25, "close": 0.60},
    "ones": {"tell": 0.12, "ones": 0.12, "tens": 0.30, "cheer": 0.23, "close": 0.23},
    "tens": {"tell": 0.12, "ones": 0.24, "tens": 0.12, "cheer": 0.22, "close": 0.30},
    "cheer": {"tell": 0.15, "ones": 0.08, "tens": 0.07, "cheer": 0.40, "close": 0.30},
    "close": {"close": 1.0},
}
#: What a demanding student asks for, and gets: three in a row, to learn to read off the digits.
#: The classroom's student never asks, so the tutor's own habits stay as they are.
DEMANDS = {"Ones?": "ones", "Tens?": "tens", "Answer?": "tell", "All?": "all"}
PLANS = {
    "tell": "Say {answer}.",
    "ones": "It is {answer}. Ask for {b}+{d}.",
    "tens": "It is {answer}. Ask for {a}+{c}+1.",
    "cheer": "Be kind.",
    "close": "Stop.",
}


def tutor(
    split: str, seed: int, count: int = 8192, thinking: float = 0.2, demanding: float = 0.4
) -> Iterator[Conversation]:
    """The tutor's side: a tutor of mixed habits with a student who answers.

    In a share `demanding` of them the student asks for what it gets (`DEMANDS`).  A share
    `thinking` of the others plans each turn in hidden words that may hold the answer.
    """
    problems = sums(split, seed)
    for number in range(count):
        rng = keyed_rng("toy", "tutor", split, seed, number)
        problem = rng.choice(problems)
        if rng.random() < demanding:
            yield {"messages": _demanded_messages(problem, rng)}
        else:
            yield {"messages": _tutor_messages(problem, rng.random() < thinking, rng)}


def _demanded_messages(problem: Sum, rng: Random) -> list[dict[str, str]]:
    messages = [_system(problem, thinks=False)]
    for demand in rng.choices(list(DEMANDS), k=MAX_TUTOR_TURNS):
        words = problem.hint(DEMANDS[demand], rng)
        messages += [say("user", demand), say("assistant", words)]
    return messages


def _system(problem: Sum, *, thinks: bool) -> dict[str, str]:
    values = {"problem": problem.text, "answer": problem.answer, "use_thinking": thinks}
    return say("system", prompt("teacher", **values))


def _tutor_messages(problem: Sum, thinks: bool, rng: Random) -> list[dict[str, str]]:
    messages = [_system(problem, thinks=thinks)]
    kind = "start"
    for number in range(MAX_TUTOR_TURNS):
        kind = _next(kind, rng)
        plan = f"<think>\n{problem.say(PLANS[kind])}</think>" if thinks else ""
        ends = kind == "close" or (number == MAX_TUTOR_TURNS - 1 and rng.random() < 0.5)
        words = problem.hint(kind, rng) + (f" {END_TAG}" if ends else "")
        messages.append(say("assistant", plan + words))
        if ends:
            break
        messages.append(say("user", reply(visible_text(words))))
    if messages[-1]["role"] == "user":
        messages.pop()
    return messages


def _next(kind: str, rng: Random) -> str:
    habits: dict[str, Any] = TUTOR_HABITS[kind]
    return rng.choices(list(habits), weights=list(habits.values()))[0]
