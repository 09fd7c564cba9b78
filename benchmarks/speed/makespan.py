"""How long a rollout takes where answers take seconds: our classroom against lockstep.

128 conversations of 2 to 16 messages, engines that serve `slots` requests at a time, and answers
that take log-normal seconds; lengths and seconds come from one seeded trace, the same for both.
No schedule can be faster than M* = max(longest chain, all work / slots), where a chain is a
conversation's turns and its slowest judge and solution.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.speed.by_ids import AskedByIds, said
from benchmarks.speed.plain import PlainClassroom
from benchmarks.speed.results import Pair, Result, compare, repeated
from config.schema import GenerationSettings, RewardModelSettings
from src.classroom import Classroom
from src.dialog.judges import build_judges
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.dialog.views.participants import Participant
from src.inference_providers.base import Completion, Sampling
from tests.fakes import ByteRenderer
from utils.data.problems import Problem
from utils.rewards import RewardSettings
from utils.seeding import keyed_rng

CONVERSATIONS, SEED = 128, 1
MEDIAN_S, SIGMA = 0.15, 0.7  # of one answer; real ones take ten times as long and more
MESSAGES, MESSAGES_SIGMA = 5.0, 0.6  # median and sigma of the log-normal length
NUMBER = re.compile(r"number (\d+)\b")
VERDICT = '{"reasoning": "", "decision": "OK"}'


@dataclass(frozen=True, slots=True)
class Trace:
    """How long every conversation and every answer is."""

    seed: int = SEED
    scale: float = 1.0  # of the seconds

    def messages(self, number: int, limit: int = 16) -> int:
        rng = keyed_rng("length", self.seed, number)
        drawn = rng.lognormvariate(math.log(MESSAGES), MESSAGES_SIGMA)
        return max(2, min(limit, round(drawn)))

    def seconds(self, role: str, number: int, index: int) -> float:
        rng = keyed_rng("seconds", self.seed, role, number, index)
        return self.scale * MEDIAN_S * rng.lognormvariate(0.0, SIGMA)

    def tutor_turns(self, number: int) -> int:
        return math.ceil(self.messages(number) / 2)


TRACE = Trace()


class Slots:
    """So many requests at a time; who waits is served by priority, then in order, as in vLLM."""

    def __init__(self, count: int) -> None:
        self.free = count
        self.waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self.arrivals = itertools.count()

    @asynccontextmanager
    async def one(self, priority: float) -> AsyncIterator[None]:
        if self.free:
            self.free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self.waiting, (priority, next(self.arrivals), turn))
            await turn
        yield
        if self.waiting:
            heapq.heappop(self.waiting)[2].set_result(None)
        else:
            self.free += 1


class TracedEngine(AskedByIds):
    """A role's engine: how long the next answer takes stands in the trace."""

    def __init__(self, role: str, slots: Slots, trace: Trace) -> None:
        self.name = self.role = role
        self.slots, self.trace = slots, trace
        self.asked: Counter[int] = Counter()

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        found = NUMBER.search("".join(map(chr, prompt_ids)))
        assert found is not None
        number, index = int(found[1]), self.asked[int(found[1])]
        self.asked[number] += 1
        async with self.slots.one(self.rank(number, index, sampling.priority)):
            await asyncio.sleep(self.trace.seconds(self.role, number, index))
        return said(self._words(number, index), sampling)

    def rank(self, number: int, index: int, priority: int) -> float:
        """Who waits with the lowest is served first."""
        return priority

    def _words(self, number: int, index: int) -> str:
        if self.role == "judge":
            return VERDICT
        last = self.role == "teacher" and index + 1 == self.trace.tutor_turns(number)
        return "Bye. <end_of_conversation>" if last else "And what comes next?"


def problems(count: int = CONVERSATIONS) -> list[Problem]:
    return [Problem(id=f"p{n}", text=f"Problem number {n} .", answer="1") for n in range(count)]


def classroom(
    slots: int, trace: Trace = TRACE, engine: type[TracedEngine] = TracedEngine
) -> Classroom:
    settings = GenerationSettings(forced_conversation_type="guided", student_names=[None])
    pool = Slots(slots)
    participant = {
        role: Participant(
            role=role,
            provider=engine(role, pool, trace),
            context_length=100_000,
            temperature=1.0,
            renderer=ByteRenderer(),
        )
        for role in ("teacher", "student", "judge")
    }
    return Classroom(
        settings,
        Participants(
            teacher=participant["teacher"],
            student=participant["student"],
            judges=build_judges(settings, participant["judge"]),
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=trace.seed,
    )


def lower_bound(slots: int, trace: Trace = TRACE) -> float:
    """M*, seconds."""
    chains, work = [], 0.0
    for number in range(CONVERSATIONS):
        tutor_turns = trace.tutor_turns(number)
        turns = [trace.seconds("teacher", number, i) for i in range(tutor_turns)]
        turns += [trace.seconds("student", number, i) for i in range(tutor_turns - 1)]
        verdicts, solutions = afterwards(number, trace)
        chains.append(sum(turns) + max(verdicts) + max(solutions))
        work += sum(turns) + sum(verdicts) + sum(solutions)
    return max(*chains, work / slots)


def afterwards(number: int, trace: Trace) -> tuple[list[float], list[float]]:
    """Seconds of a conversation's verdicts and solutions."""
    settings = GenerationSettings()
    judges = len(settings.judges_rules_prompts_paths) * settings.number_judge_attempts
    first = trace.tutor_turns(number) - 1
    solved = range(first, first + settings.number_student_attempts)
    verdicts = [trace.seconds("judge", number, i) for i in range(judges)]
    return verdicts, [trace.seconds("student", number, i) for i in solved]


def measure(name: str, repeats: int, slots: int) -> Result:
    """Seconds of a whole rollout."""

    def pair(_: int) -> Pair:
        began = time.perf_counter()
        records = asyncio.run(classroom(slots).run(problems(), samples=1))
        ours = time.perf_counter() - began
        assert [len(r.messages) for r in records] == [
            2 * TRACE.tutor_turns(n) - 1 for n in range(CONVERSATIONS)
        ]
        began = time.perf_counter()
        asyncio.run(PlainClassroom(classroom(slots)).run(problems(), samples=1))
        return ours, time.perf_counter() - began

    return compare(name, "s", repeated(repeats, pair), limit=lower_bound(slots))
