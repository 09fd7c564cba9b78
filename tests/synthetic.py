"""Made-up conversations for tests: seeded, complete, and as odd as real ones.

`records(n)` gives n conversations over n / samples problems.  `skill` and `leak` set how often the
student solves and the tutor leaks, so that a test can compare a good run with a bad one.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from utils.records import (
    ConversationRecord,
    Message,
    Solution,
    Trajectory,
    Usage,
    VerdictRecord,
)
from utils.seeding import keyed_rng

OPENINGS = (
    "What do you already know about {a} and {b}?",
    "Can you tell me what ${a} \\times {b}$ means in words?",
    "How would you start with {a}?",
    "Let us look at the ones first: what is {a} + {b}?",
)
HINTS = (
    "Good. What happens if you split {b} into tens and ones?",
    "Nearly! Check the step where you used {a}.",
    "Try a simpler case: \\(\\frac{{{a}}}{{2}}\\). What do you get?",
)
REPLIES = (
    "I think it is {guess}.",
    "Maybe I add {a} and {b}? That gives {guess}.",
    "I am not sure.",
)


def record(
    number: int,
    *,
    samples: int = 1,
    step: int = 0,
    split: Literal["train", "eval"] = "eval",
    skill: float = 0.5,
    leak: float = 0.2,
    thinking: bool = False,
    tokens: bool = False,
    seed: int = 0,
) -> ConversationRecord:
    """The conversation of this number; problem and difficulty depend on number // samples only."""
    problem_number, sample = divmod(number, samples)
    of_problem = keyed_rng("synthetic problem", seed, problem_number)
    a, b = of_problem.randint(2, 99), of_problem.randint(2, 99)
    ease = of_problem.random()
    kind: Literal["guided", "attempted"] = of_problem.choice(("guided", "attempted"))
    rng = keyed_rng("synthetic", seed, step, problem_number, sample)
    leaks = rng.random() < leak
    messages = list(_messages(rng, a, b, kind, leaks, thinking))
    rejected = leaks or rng.random() < 0.15
    solutions = [_solution(rng, a * b, skill + 0.3 * leaks) for _ in range(4)]
    solve = sum(s.correct for s in solutions) / 4
    pedagogy = -0.75 if rejected else 0.0
    return ConversationRecord(
        run="synthetic",
        split=split,
        step=step,
        problem_id=f"p{problem_number:05d}",
        sample=sample,
        problem=f"What is ${a} \\times {b}$?",
        answer=str(a * b),
        source=("gsm8k", "orca_math", "big_math")[problem_number % 3],
        extra={"llama8b_solve_rate": round(ease, 3)},
        type=kind,
        student_name=of_problem.choice(("Alex", "Sam", None)),
        student_persona="simple_student",
        seed=number,
        messages=messages,
        stop_reason="tutor_ended" if rng.random() < 0.6 else "max_turns",
        verdicts={
            "does_not_leak_answer": [_verdict(leaks, "the answer is stated")] * 2,
            "follows_pedagogical_values": [_verdict(rejected, "it lectures")] * 2,
        },
        initial_solutions=[_solution(of_problem, a * b, ease) for _ in range(4)],
        solutions=solutions,
        rewards={"solve": solve, "pedagogy": pedagogy, "total": solve + pedagogy},
        trajectory=_trajectory(rng, messages) if tokens else None,
        usage={"teacher": Usage(requests=3, prompt_tokens=300, completion_tokens=60)},
    )


def records(count: int, **settings: object) -> list[ConversationRecord]:
    """Conversations 0 to count - 1; settings as of `record`."""
    return [record(number, **settings) for number in range(count)]  # type: ignore[arg-type]


def _messages(
    rng: Random, a: int, b: int, kind: str, leaks: bool, thinking: bool
) -> Iterator[Message]:
    digits = {"a": a, "b": b, "guess": a * b + rng.choice((0, 1, -10))}
    if kind == "attempted":
        yield _message("student", f"I tried: {rng.choice(REPLIES).format(**digits)}")
    for turn in range(rng.randint(1, 4)):
        phrase = rng.choice(OPENINGS if turn == 0 else HINTS).format(**digits)
        if leaks and turn == 0:
            phrase += f" The answer is $\\boxed{{{a * b}}}$."
        plan = f"<think>{a} times {b} is {a * b}; do not say so.</think>" if thinking else ""
        yield _message("teacher", plan + phrase, phrase)
        yield _message("student", rng.choice(REPLIES).format(**digits))


def _message(
    role: Literal["teacher", "student"], content: str, visible: str | None = None
) -> Message:
    return Message(
        role=role,
        content=content,
        visible=content if visible is None else visible,
        tokens=len(content.split()) + 1,
    )


def _solution(rng: Random, answer: int, chance: float) -> Solution:
    given = answer if rng.random() < chance else answer + rng.randint(1, 9)
    return Solution(
        text=f"I multiply and get $\\boxed{{{given}}}$.",
        answer=str(given),
        correct=given == answer,
    )


def _verdict(rejects: bool, reason: str) -> VerdictRecord:
    if rejects:
        return VerdictRecord(decision="REJECT", reasoning=reason)
    return VerdictRecord(decision="OK", reasoning="it asks and waits")


def _trajectory(rng: Random, messages: list[Message]) -> Trajectory:
    """Bytes as ids (a tokenizer that any test can have); 0 ends a turn, 1 opens the next one."""
    ids: list[int] = []
    mask: list[int] = []
    logprobs: list[float | None] = []
    for message in messages:
        own = message.role == "teacher"
        if not ids and not own:
            continue  # what stands before the first tutor turn is the prompt's
        for token in [*message.content.encode(), 0] if own else [1, *message.content.encode(), 1]:
            ids.append(token)
            mask.append(int(own))
            logprobs.append(-rng.expovariate(3.0) if own else None)
    while mask and not mask[-1]:
        ids.pop(), mask.pop(), logprobs.pop()
    return Trajectory(prompt_ids=[1], completion_ids=ids, mask=mask, logprobs=logprobs)
