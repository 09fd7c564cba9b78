"""Conversations that make the toy's two models: chat messages, as many as asked for, by seed.

Named in a config as `toy.conversations:student` and `toy.conversations:tutor`.  The prompts are
the classroom's own, so that a model meets in training what it will meet there.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from toy.problems import sums
from toy.world import TELL, Sum, heard, prompt, reply, solve
from utils.seeding import keyed_rng
from utils.thinking import END_TAG, visible_text

Conversation = dict[str, list[dict[str, str]]]

MAX_TUTOR_TURNS = 3
STUDENT_MOVES = ("tell", "ones", "tens", "cheer", "close")
WRONG_TOLD = 0.4  # of tellings in the student's data: else it learns to compute, not to believe
OTHER_DIGITS = 0.2  # of questions in the student's data that are not about its problem
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


def student(
    split: str,
    seed: int,
    count: int = 8192,
    selective: float = 0.0,
    other_digits: float = OTHER_DIGITS,
) -> Iterator[Conversation]:
    """The student's side: conversations with any tutor, each ended by a solution.

    A tenth are bare problems, without a conversation.  `selective`: the chance that it hears no
    question about other digits (`toy.world.solve`); `other_digits`: the share of such questions.
    """
    problems = sums(split, seed)
    for number in range(count):
        rng = keyed_rng("toy", "student", split, seed, number)
        problem = rng.choice(problems)
        yield {"messages": _student_messages(problem, rng, selective, other_digits)}


def _student_messages(
    problem: Sum, rng: Random, selective: float, other_digits: float
) -> list[dict[str, str]]:
    if rng.random() < 0.1:
        bare = prompt("student_attempt", problem=problem.text)
        return [_say("user", bare), _say("assistant", solve(problem, [], rng))]
    messages = [_say("system", prompt("student", problem=problem.text))]
    turns = [_heard_turn(kind, problem, rng, other_digits) for kind in _student_moves(rng)]
    for turn in turns[:-1]:
        messages += [_say("user", turn), _say("assistant", reply(turn))]
    last = f"{turns[-1]}\n\n{prompt('student_final')}"
    solution = solve(problem, turns, rng, selective=selective)
    return [*messages, _say("user", last), _say("assistant", solution)]


def _student_moves(rng: Random) -> list[str]:
    """What the tutor does in one of the student's conversations: both steps as often as not."""
    moves = rng.choices(STUDENT_MOVES, weights=(1, 2, 2, 2, 2), k=rng.randint(1, MAX_TUTOR_TURNS))
    if rng.random() < 0.3:
        moves = rng.sample(["ones", "tens", *moves[:1]], k=3)
        moves = moves[: rng.randint(2, 3)]
    return moves


def _heard_turn(kind: str, problem: Sum, rng: Random, other_digits: float) -> str:
    """One tutor turn, which may tell a wrong answer or ask about other digits."""
    if kind == "tell":
        told = problem.answer if rng.random() >= WRONG_TOLD else rng.randrange(20, 199)
        return rng.choice(TELL).format(answer=told)
    if rng.random() < other_digits:
        problem = Sum(*(rng.randrange(10) for _ in range(4)))
    return problem.hint(kind, rng)


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
        messages += [_say("user", demand), _say("assistant", words)]
    return messages


def _system(problem: Sum, *, thinks: bool) -> dict[str, str]:
    values = {"problem": problem.text, "answer": problem.answer, "use_thinking": thinks}
    return _say("system", prompt("teacher", **values))


def _tutor_messages(problem: Sum, thinks: bool, rng: Random) -> list[dict[str, str]]:
    messages = [_system(problem, thinks=thinks)]
    kind = "start"
    for number in range(MAX_TUTOR_TURNS):
        kind = _next(kind, rng)
        plan = f"<think>\n{problem.say(PLANS[kind])}</think>" if thinks else ""
        ends = kind == "close" or (number == MAX_TUTOR_TURNS - 1 and rng.random() < 0.5)
        words = problem.hint(kind, rng) + (f" {END_TAG}" if ends else "")
        messages.append(_say("assistant", plan + words))
        if ends:
            break
        messages.append(_say("user", reply(visible_text(words))))
    if messages[-1]["role"] == "user":
        messages.pop()
    return messages


def _next(kind: str, rng: Random) -> str:
    habits: dict[str, Any] = TUTOR_HABITS[kind]
    return rng.choices(list(habits), weights=list(habits.values()))[0]


def _say(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def state_of(messages: list[dict[str, str]]) -> str:
    """The state (a key of `RATES`) in which a student's conversation ended in a solution."""
    turns = [m["content"] for m in messages if m["role"] == "user"]
    return heard(turns) if messages[0]["role"] == "system" else "cold"
