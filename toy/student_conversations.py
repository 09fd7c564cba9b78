"""The students' side of the toy's conversations: with any tutor, each ended by a solution.

Named in a config as `toy.conversations:student`, `:students` and `:comparing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from toy.problems import sums
from toy.students import ASKS_DIRECTLY, ASKS_FOR_ALL, MANNERS, Manner
from toy.world import TELL, Sum, prompt, solve
from utils.seeding import keyed_rng

Message = dict[str, str]
Conversation = dict[str, list[Message]]

PLAIN = MANNERS["plain"]
MOVES = ("tell", "ones", "tens", "cheer", "close")
WRONG_TOLD = 0.4  # of tellings: else a student learns to compute, not to believe
OTHER_DIGITS = 0.2  # of questions that are not about its problem
BARE = 0.1  # of problems that stand alone, without a conversation
HIDDEN = "(hidden)"  # what a tutor's turn reads in the transfer test
TRANSFERRED = 0.5  # of the learner's conversations that end in another sum


def student(split: str, seed: int, count: int = 8192) -> Iterator[Conversation]:
    """The plain student's, who hears any step."""
    problems = sums(split, seed)
    for number in range(count):
        rng = keyed_rng("toy", "student", split, seed, number)
        problem = rng.choice(problems)
        if rng.random() < BARE:
            yield {"messages": _bare(problem, rng)}
            continue
        kinds = _moves(rng)
        turns = [_turn(kind, problem, rng, OTHER_DIGITS) for kind in kinds]
        replies = [PLAIN.reply(turns[: n + 1]) for n in range(len(turns) - 1)]
        asked = prompt("student_final")
        view = talk(prompt("student", problem=problem.text), turns, replies, asked)
        yield {"messages": [*view, say("assistant", solve(problem, turns, rng))]}


def students(
    split: str,
    seed: int,
    count: int = 8192,
    manners: Mapping[str, float] | None = None,
    other_digits: float = 0.4,
) -> Iterator[Conversation]:
    """Students of all manners, each with its prompt; `manners`: their shares, by name.

    `other_digits`: the share of questions that are not about the problem.
    """
    problems = sums(split, seed)
    shares = manners or dict.fromkeys(MANNERS, 1.0)
    for number in range(count):
        rng = keyed_rng("toy", "students", split, seed, number)
        problem, other = rng.sample(problems, 2)
        manner = _drawn(shares, rng)
        if rng.random() < BARE / 2:
            yield {"messages": _bare(problem, rng)}
            continue
        turns = [_turn(kind, problem, rng, other_digits) for kind in _moves_of(manner, rng)]
        yield {"messages": _lesson(problem, other, manner, turns, rng)}


def comparing(
    split: str, seed: int, count: int = 8192, manners: Mapping[str, float] | None = None
) -> Iterator[Conversation]:
    """Short ones, to learn whose digits a question has before anything else.

    Who checks does so always, and every other question has other digits: with the chances and the
    long conversations of `students` this is learnt too slowly to be seen.
    """
    problems = sums(split, seed)
    shares = manners or {name: 1.0 for name, manner in MANNERS.items() if not manner.pushes}
    for number in range(count):
        rng = keyed_rng("toy", "comparing", split, seed, number)
        problem = rng.choice(problems)
        manner = _drawn(shares, rng)
        turns = [_question(problem, rng) for _ in range(rng.randint(1, 2))]
        taken = manner.taken(problem, turns, checking=manner.checks > 0)
        replies = [manner.reply(taken[: n + 1]) for n in range(len(turns))]
        last, asked = replies[-1], ""
        if rng.random() < 0.5:
            last = manner.solution(problem, taken, rng)
            asked = prompt("student_final")
        view = talk(prompt(manner.persona, problem=problem.text), turns, replies[:-1], asked)
        yield {"messages": [*view, say("assistant", last)]}


def _drawn(shares: Mapping[str, float], rng: Random) -> Manner:
    return MANNERS[rng.choices(list(shares), weights=list(shares.values()))[0]]


def _question(problem: Sum, rng: Random) -> str:
    """About the problem's own digits, about all but one of them, or about any."""
    chance, digits = rng.random(), [problem.a, problem.b, problem.c, problem.d]
    if chance >= 0.5:
        if chance < 0.65:
            digits[rng.randrange(4)] = rng.randrange(10)
        else:
            digits = [rng.randrange(10) for _ in digits]
    return Sum(*digits).hint(rng.choice(("ones", "ones", "tens", "tens", "both")), rng)


def _bare(problem: Sum, rng: Random) -> list[Message]:
    text = prompt("student_attempt", problem=problem.text)
    return [say("user", text), say("assistant", solve(problem, [], rng))]


def _moves(rng: Random) -> list[str]:
    """What a tutor does in one conversation: both steps as often as not."""
    moves = rng.choices(MOVES, weights=(1, 2, 2, 2, 2), k=rng.randint(1, 3))
    if rng.random() < 0.3:
        moves = rng.sample(["ones", "tens", *moves[:1]], k=3)
        moves = moves[: rng.randint(2, 3)]
    return moves


def _moves_of(manner: Manner, rng: Random) -> list[str]:
    """The same, with both steps at once among them, and now and then a fourth turn."""
    if rng.random() < 0.1:
        return rng.choices(MOVES, k=4)
    moves = _moves(rng)
    if rng.random() < (0.5 if manner.at_once else 0.1):
        moves[rng.randrange(len(moves))] = "both"
    return moves


def _turn(kind: str, problem: Sum, rng: Random, other_digits: float) -> str:
    """One tutor turn, which may tell a wrong answer or ask about other digits."""
    if kind == "tell":
        told = problem.answer if rng.random() >= WRONG_TOLD else rng.randrange(20, 199)
        return rng.choice(TELL).format(answer=told)
    if rng.random() < other_digits:
        problem = Sum(*(rng.randrange(10) for _ in range(4)))
    return problem.hint(kind, rng)


def _lesson(
    problem: Sum, other: Sum, manner: Manner, turns: Sequence[str], rng: Random
) -> list[Message]:
    """A conversation about one sum, and a solution: of it, or of the other one (transfer)."""
    taken = manner.taken(problem, turns, checking=rng.random() < manner.checks)
    replies = [manner.reply(taken[: n + 1]) for n in range(len(turns))]
    if manner.pushes:
        replies = [rng.choice((ASKS_DIRECTLY, ASKS_FOR_ALL, own)) for own in replies]
    system = prompt(manner.persona, problem=problem.text)
    if not manner.learns or rng.random() >= TRANSFERRED:
        view = talk(system, turns, replies[:-1], prompt("student_final"))
        solution = manner.solution(problem, taken, rng)
        return [*view, say("assistant", solution)]
    answered = len(turns) - (rng.random() < 0.5)
    asked = prompt("student_transfer", problem=other.text)
    view = talk(system, [HIDDEN] * len(turns), replies[:answered], asked)
    solution = solve(other, [], rng, state=manner.learnt(taken[:answered]))
    return [*view, say("assistant", solution)]


def talk(
    system: str, turns: Sequence[str], replies: Sequence[str], asked: str = ""
) -> list[Message]:
    """The student's view, up to where it speaks.

    What is `asked` (for a solution) stands in one message with the turns that it has not answered.
    """
    messages = [say("system", system)]
    for turn, reply in zip(turns, replies, strict=False):
        messages += [say("user", turn), say("assistant", reply)]
    unanswered = [*turns[len(replies) :], *([asked] if asked else [])]
    return [*messages, say("user", "\n\n".join(unanswered))]


def say(role: str, content: str) -> Message:
    return {"role": role, "content": content}
