"""What longer conversations cost us: more messages, more tokens; engines answer at once."""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.speed.by_ids import AskedByIds, said
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
from utils.runs.record_writer import RecordWriter


class Instant(AskedByIds):
    """An engine that says the same `tokens` letters at once."""

    name = "instant"

    def __init__(self, tokens: int) -> None:
        self.text = ("one step more " * math.ceil(tokens / 14))[:tokens]

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        return said(self.text, sampling, len(prompt_ids))


def cpu_seconds(conversations: int = 64, turns: int = 6, tokens: int = 40) -> float:
    """CPU seconds of a whole rollout and its record; `tokens` is of each answer."""
    settings = GenerationSettings(
        forced_conversation_type="guided",
        judges_rules_prompts_paths={"does_not_leak_answer": "matcher"},
        max_turns=turns,
        max_tokens_in_conversation=10**6,
        max_tokens_per_turn=10**5,
        max_concurrent_conversations=64,
        number_student_attempts=2,
    )
    participants = {
        role: Participant(
            role=role,
            provider=Instant(tokens),
            context_length=10**6,
            temperature=1.0,
            renderer=ByteRenderer(),
        )
        for role in ("teacher", "student")
    }
    room = Classroom(
        settings,
        Participants(
            teacher=participants["teacher"],
            student=participants["student"],
            judges=build_judges(settings, None),
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=1,
    )
    problems = [
        Problem(id=f"p{n}", text="What is 3 + 4?", answer="7") for n in range(conversations)
    ]
    with tempfile.TemporaryDirectory() as folder:
        writer = RecordWriter(Path(folder))
        began = time.process_time()
        asyncio.run(room.run(problems, samples=1, on_finished=writer.add))
        writer.settle()
        return time.process_time() - began


SWEEPS: dict[str, tuple[Sequence[int], Callable[[int], float]]] = {
    "messages": ([2, 4, 8, 16, 32], lambda n: cpu_seconds(turns=n)),
    "tokens": (
        [100, 250, 500, 1000, 2000, 4000, 8000],
        lambda n: cpu_seconds(conversations=16, turns=4, tokens=n // 4) * 4,
    ),
}


def sweep(name: str) -> dict[int, float]:
    """CPU seconds of 64 conversations by their messages, or their tokens; the better of two."""
    sizes, cost = SWEEPS[name]
    cpu_seconds(conversations=8)  # what is done once, is done
    return {size: min(cost(size) for _ in range(2)) for size in sizes}


def slope(costs: Mapping[int, float]) -> float:
    """The exponent between the third largest size and the largest: 1 is linear."""
    sizes = sorted(costs)
    first, last = sizes[-3], sizes[-1]
    return math.log(costs[last] / costs[first]) / math.log(last / first)
