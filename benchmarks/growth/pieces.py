"""What is done for a whole batch rather than in a conversation, at any number of conversations.

A conversation alone cannot cost more because there are others; what all of them share can: the
gate, the record, the rows and metrics of a rollout.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.growth.engines import PHASES, AtOnce
from benchmarks.speed.schedules import JumpingLoop, here
from src.grpo.rollouts.rollout import to_row
from src.together import gather_or_cancel
from src.vllm.residency import Residency
from src.vllm.spec import EngineSpec
from tests.synthetic import record
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord
from utils.runs.record_writer import RecordWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceCost:
    """CPU microseconds of one conversation."""

    conversations: int
    gate_us: float  # tasks made, and an engine asked twice with another one between
    record_us: float  # written as they finish, and settled
    rows_us: float  # for the trainer, and the metrics of the batch


def cost(count: int) -> PieceCost:
    """What each piece costs for `count` conversations at once."""
    one = record(0, tokens=True, split="train")
    batch = [one.model_copy(update={"problem_id": f"p{n}"}) for n in range(count)]

    def each(work: Callable[[], Any]) -> float:
        began = time.process_time()
        work()
        return 1e6 * (time.process_time() - began) / count

    return PieceCost(
        conversations=count,
        gate_us=each(lambda: _cross(count)),
        record_us=each(lambda: _write(batch)),
        rows_us=each(lambda: ([to_row(r, filler=0) for r in batch], rollout_metrics(batch))),
    )


def _cross(count: int) -> None:
    specs = [EngineSpec(name=role, model="", roles=(role,), phases=p) for role, p in PHASES.items()]
    controls: Any = {spec.name: AtOnce() for spec in specs}
    residency = Residency(specs, controls, "turn")

    async def one() -> None:
        for engine in ("teacher", "student", "teacher"):
            async with residency.using(engine):
                await asyncio.sleep(1)

    async def all_of_them() -> None:
        await gather_or_cancel([one() for _ in range(count)])

    with (
        patch.object(asyncio, "to_thread", here),
        asyncio.Runner(loop_factory=JumpingLoop) as runner,
    ):
        runner.run(all_of_them())


def _write(batch: list[ConversationRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = RecordWriter(Path(folder))
        for conversation in batch:
            writer.add(conversation)
        writer.settle()
