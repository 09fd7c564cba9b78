"""Tutoring conversations about small arithmetic, made from our own sentences: no download.

Sources of rows for `dataset.train_datasets`: `name_or_path: src.sft.lessons:conversations`, or
`:pairs` for MDPO.  The tutor asks for one step at a time, takes up what the student says, never
states the answer and ends with its tag; the student is right, or wrong in a step and right when
asked again.  Problems are split like the generated ones of utils/data/procedural.py: none is both
in train and held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from config.schema import GenerationSettings
from utils.data.procedural import is_held_out, wants_held_out
from utils.data.sft.tutor_prompt import TutorPrompt
from utils.seeding import keyed_rng
from utils.thinking import END_TAG

PRAISE = ("Right!", "Good.", "Yes, that is right.", "Well done.", "Exactly.")
AGAIN = ("Not quite.", "Nearly.", "Let us look at that again.", "Hmm, check that once more.")
SAYS = ("{}", "It is {}.", "I think {}.", "{}?", "That is {}.")
NOW_YOU = (
    "Now put the parts together and solve the problem yourself.",
    "You have all the parts. Put them together and write your answer in a box.",
    "Now you can finish it alone. Give it a try.",
)
THANKS = ("Thank you for showing me.", "Good that you tried it.", "Thanks, let us check it.")


@dataclass(frozen=True, slots=True)
class Step:
    """A question with its answer, and what helps if the answer was wrong."""

    question: str
    answer: int
    help: str


def conversations(
    split: str, seed: int, *, size: int = 200, wrong: float = 0.3, attempted: float = 0.5
) -> Iterator[dict[str, Any]]:
    """`size` rows with `messages`, `opening`, `problem` and `answer`.

    `wrong`: how often the student errs in a step; `attempted`: the share of conversations that
    the student opens with an attempt of its own (a wrong one).
    """
    for lesson in _lessons(split, seed, size, attempted):
        messages = lesson.head + _talk(lesson.rng, lesson.steps, len(lesson.head) > 1, wrong)
        yield {"messages": messages, **lesson.columns}


def pairs(
    split: str, seed: int, *, size: int = 100, wrong: float = 0.3, attempted: float = 0.5
) -> Iterator[dict[str, Any]]:
    """`size` rows with `prompt`, `chosen` (step by step) and `rejected` (the answer is told)."""
    for lesson in _lessons(split, seed, size, attempted):
        chosen = _talk(lesson.rng, lesson.steps, len(lesson.head) > 1, wrong)
        rejected = _tell(lesson.rng, lesson.columns["answer"])
        yield {"prompt": lesson.head, "chosen": chosen, "rejected": rejected, **lesson.columns}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What a conversation is about, and what stands before the tutor's first turn."""

    rng: Random
    steps: list[Step]
    head: list[dict[str, str]]
    columns: dict[str, str]


def _lessons(split: str, seed: int, size: int, attempted: float) -> Iterator[_Lesson]:
    held_out, prompt = wants_held_out(split, "split"), TutorPrompt.of({})
    names, made, index = GenerationSettings().student_names, 0, 0
    while made < size:
        rng = keyed_rng(seed, "lesson", split, index)
        index += 1
        problem, answer, steps = _sum(rng) if rng.random() < 0.5 else _product(rng)
        if is_held_out(problem) != held_out:
            continue
        made += 1
        name = rng.choice(names)
        head = [prompt.system(problem, str(answer), name)]
        if rng.random() < attempted:
            guess = answer + rng.choice((-10, -2, -1, 1, 2, 10))
            head.append(prompt.attempt(problem, f"I got {guess}.", name))
        opening = prompt.stand_in(problem, name)
        columns = {"opening": opening, "problem": problem, "answer": str(answer)}
        yield _Lesson(rng=rng, steps=steps, head=head, columns=columns)


def _tell(rng: Random, answer: str) -> list[dict[str, str]]:
    """A tutor that gives the answer away, at once or when asked again."""
    told = rng.choice(("The answer is {}.", "It is {}.", "That makes {}. Write it down.")).format(
        answer
    )
    if rng.random() < 0.5:
        return [_message("assistant", f"{told} {END_TAG}")]
    return [
        _message("assistant", told),
        _message("user", rng.choice(("Oh, thanks.", "Okay.", "Why?"))),
        _message("assistant", f"Just write {answer} in a box. {END_TAG}"),
    ]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _talk(rng: Random, steps: list[Step], began: bool, wrong: float) -> list[dict[str, str]]:
    """Tutor and student in turn, from the tutor's first to its last message."""
    talk: list[dict[str, str]] = []
    before = f"{rng.choice(THANKS)} " if began else ""
    for step in steps:
        talk.append(_message("assistant", before + step.question))
        if rng.random() < wrong:
            miss = step.answer + rng.choice((-1, 1, 2))
            talk.append(_message("user", rng.choice(SAYS).format(miss)))
            talk.append(_message("assistant", f"{rng.choice(AGAIN)} {step.help}"))
        talk.append(_message("user", rng.choice(SAYS).format(step.answer)))
        before = f"{rng.choice(PRAISE)} "
    talk.append(_message("assistant", f"{before}{rng.choice(NOW_YOU)} {END_TAG}"))
    return talk


def _sum(rng: Random) -> tuple[str, int, list[Step]]:
    """a + b with at most two digits each: ones, then tens."""
    digits = rng.choice((1, 2))
    a, b = (rng.randint(0 if digits == 1 else 10, 10**digits - 1) for _ in range(2))
    (ten_a, one_a), (ten_b, one_b) = divmod(a, 10), divmod(b, 10)
    if digits == 1:
        question = f"Start at {max(a, b)}. How many do you have to count on from there?"
        return f"What is {a} + {b}?", a + b, [
            Step(question, min(a, b), f"The two numbers are {a} and {b}. Which is the smaller one?")
        ]  # fmt: skip
    ones = one_a + one_b
    asked = rng.choice(("Let us start with the ones.", "Look at the ones first."))
    steps = [
        Step(
            f"{asked} What is {one_a} + {one_b}?",
            ones,
            f"Count on from {max(one_a, one_b)}, {min(one_a, one_b)} more. Where do you end?",
        )
    ]
    tens, carried = ten_a + ten_b + ones // 10, ", and the 1 you carry" if ones > 9 else ""
    extra = " + 1" if ones > 9 else ""
    steps.append(
        Step(
            f"And the tens{carried}: what is {ten_a} + {ten_b}{extra}?",
            tens,
            f"Take it slowly: first {ten_a} + {ten_b}{', then one more' if extra else ''}.",
        )
    )
    return f"What is {a} + {b}?", a + b, steps


def _product(rng: Random) -> tuple[str, int, list[Step]]:
    """a * b with one digit each: five groups and the rest, or so many groups."""
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    if a <= 5:
        groups = (
            f"{a} * {b} means {a} groups of {b}." if a != 1 else f"1 * {b} is one group of {b}."
        )
        question = f"{groups} How many groups will you add up?"
        return f"What is {a} * {b}?", a * b, [Step(question, a, "Look at the first number.")]
    rest = a - 5
    steps = [
        Step(
            f"Split {a} groups of {b} into 5 groups and {rest}. What is 5 * {b}?",
            5 * b,
            f"Count by fives, {b} times.",
        ),
        Step(f"What is {rest} * {b}?", rest * b, f"That is {b} taken {rest} times."),
    ]
    return f"What is {a} * {b}?", a * b, steps
