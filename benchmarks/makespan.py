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

from benchmarks.plain import PlainClassroom
from benchmarks.results import Pair, Result, compare, repeated
from config.schema import GenerationSettings, RewardModelSettings
from src.classroom import Classroom
from src.inference_providers.base import ChatMessage, Completion, Sampling
from src.judges import build_judges
from src.lesson import Seats
from src.participants import Seat
from src.prompts import Prompts
from tests.fakes import ByteRenderer
from utils.problems import Problem
from utils.rewards import RewardSettings
from utils.seeding import keyed_rng

CONVERSATIONS, SEED = 128, 1
MEDIAN_S, SIGMA = 0.15, 0.7  # of one answer; real ones take ten times as long and more
MESSAGES, MESSAGES_SIGMA = 5.0, 0.6  # median and sigma of the log-normal length
NUMBER = re.compile(r"number (\d+)\b")
VERDICT = '{"reasoning": "", "decision": "OK"}'


def messages_of(number: int, limit: int = 16) -> int:
    drawn = keyed_rng("length", SEED, number).lognormvariate(math.log(MESSAGES), MESSAGES_SIGMA)
    return max(2, min(limit, round(drawn)))


def seconds_of(role: str, number: int, index: int) -> float:
    return MEDIAN_S * keyed_rng("seconds", SEED, role, number, index).lognormvariate(0.0, SIGMA)


class Slots:
    """So many requests at a time; who waits is served by priority, then in order, as in vLLM."""

    def __init__(self, count: int) -> None:
        self.free = count
        self.waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self.arrivals = itertools.count()

    @asynccontextmanager
    async def one(self, priority: int) -> AsyncIterator[None]:
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


class TracedEngine:
    """A role's engine: how long the next answer takes stands in the trace."""

    gives_tokens = True

    def __init__(self, role: str, slots: Slots, scale: float = 1.0) -> None:
        self.name = self.role = role
        self.slots, self.scale = slots, scale
        self.asked: Counter[int] = Counter()

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        found = NUMBER.search("".join(map(chr, prompt_ids)))
        assert found is not None
        number, index = int(found[1]), self.asked[int(found[1])]
        self.asked[number] += 1
        async with self.slots.one(sampling.priority):
            await asyncio.sleep(self.scale * seconds_of(self.role, number, index))
        words = self._words(number, index)
        ids = (*words.encode(), *sampling.stop_token_ids[:1])
        return Completion(
            text=words,
            stop_reason="stop",
            token_ids=ids,
            logprobs=(-1.0,) * len(ids) if sampling.logprobs else None,
            completion_tokens=len(ids),
        )

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        raise NotImplementedError

    async def close(self) -> None:
        return None

    def _words(self, number: int, index: int) -> str:
        if self.role == "judge":
            return VERDICT
        last = self.role == "teacher" and 2 * (index + 1) >= messages_of(number)
        return "Bye. <end_of_conversation>" if last else "And what comes next?"


def problems(count: int = CONVERSATIONS) -> list[Problem]:
    return [Problem(id=f"p{n}", text=f"Problem number {n} .", answer="1") for n in range(count)]


def classroom(slots: int, scale: float = 1.0) -> Classroom:
    settings = GenerationSettings(forced_conversation_type="guided", student_names=[None])
    pool = Slots(slots)
    seat = {
        role: Seat(
            role=role,
            provider=TracedEngine(role, pool, scale),
            context_length=100_000,
            temperature=1.0,
            renderer=ByteRenderer(),
        )
        for role in ("teacher", "student", "judge")
    }
    return Classroom(
        settings,
        Seats(
            teacher=seat["teacher"],
            student=seat["student"],
            judges=build_judges(settings, seat["judge"]),
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=SEED,
    )


def lower_bound(slots: int) -> float:
    """M*, seconds."""
    settings = GenerationSettings()
    judges = len(settings.judges_rules_prompts_paths) * settings.number_judge_attempts
    chains, work = [], 0.0
    for number in range(CONVERSATIONS):
        tutor_turns = math.ceil(messages_of(number) / 2)
        turns = [seconds_of("teacher", number, i) for i in range(tutor_turns)]
        turns += [seconds_of("student", number, i) for i in range(tutor_turns - 1)]
        verdicts = [seconds_of("judge", number, i) for i in range(judges)]
        solved = range(tutor_turns - 1, tutor_turns - 1 + settings.number_student_attempts)
        solutions = [seconds_of("student", number, i) for i in solved]
        chains.append(sum(turns) + max(verdicts) + max(solutions))
        work += sum(turns) + sum(verdicts) + sum(solutions)
    return max(*chains, work / slots)


def measure(name: str, repeats: int, slots: int) -> Result:
    """Seconds of a whole rollout."""

    def pair(_: int) -> Pair:
        began = time.perf_counter()
        records = asyncio.run(classroom(slots).run(problems(), samples=1))
        ours = time.perf_counter() - began
        assert [len(r.messages) for r in records] == [
            2 * math.ceil(messages_of(n) / 2) - 1 for n in range(CONVERSATIONS)
        ]
        began = time.perf_counter()
        asyncio.run(PlainClassroom(classroom(slots)).run(problems(), samples=1))
        return ours, time.perf_counter() - began

    return compare(name, "s", repeated(repeats, pair), limit=lower_bound(slots))
