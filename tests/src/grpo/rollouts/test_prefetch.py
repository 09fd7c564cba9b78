"""The next batch, held while the trainer works: which it is, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from src.background import Background
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.prefetch import Batch, Prefetch
from src.grpo.rollouts.rollout import Rollout
from utils.data.problems import Problem
from utils.records import ConversationRecord, Trajectory

PROBLEMS = [Problem(id=f"p{i}", text="?", answer="1") for i in range(7)]


def record(problem: Problem, sample: int, step: int, epoch: int) -> ConversationRecord:
    row = Trajectory(prompt_ids=[step], completion_ids=[epoch], mask=[1], logprobs=[-1.0])
    return ConversationRecord(
        problem_id=problem.id, sample=sample, step=step, problem="?", answer="1", trajectory=row
    )


@pytest.fixture
def loop() -> Iterator[Background]:
    with Background() as loop:
        yield loop


class Room:
    """Conversations that wait until they are let go."""

    def __init__(self, loop: Background) -> None:
        self.loop, self.go = loop, asyncio.Event()
        self.started: list[int] = []  # steps
        self.ended: list[int] = []
        self.error: Exception | None = None

    def start_batch(self, problems: Sequence[Problem], samples: Sequence[int], *when: int) -> Any:
        async def conversations() -> list[ConversationRecord]:
            self.started.append(when[0])
            try:
                await self.go.wait()
                if self.error is not None:
                    raise self.error
                return [record(p, s, *when) for p, s in zip(problems, samples, strict=True)]
            finally:
                await asyncio.sleep(0.05)  # as those who have something to give back
                self.ended.append(when[0])

        return self.loop.start(conversations())

    def run_batch(self, *batch: Any) -> list[ConversationRecord]:
        self.let_go()
        found: list[ConversationRecord] = self.start_batch(*batch).result(5)
        self.loop.run(self._close())
        return found

    def let_go(self) -> None:
        async def go() -> None:
            self.go.set()

        self.loop.run(go())

    async def _close(self) -> None:
        self.go.clear()


def batch(step: int, *indices: int, epoch: int = 0) -> Batch:
    return Batch(indices=list(indices), step=step, epoch=epoch)


def rollout(room: Room, prefetch: Prefetch) -> Callable[[Batch, Batch | None], dict[str, Any]]:
    return Rollout(
        Node(),
        PROBLEMS,
        room.run_batch,
        samples_per_problem=2,
        filler=0,
        metrics=lambda records: {"samples": float(sum(r.sample for r in records))},
        prefetch=prefetch,
    )


def test_the_first_batch_is_held_at_once_and_the_next_is_on_its_way(loop: Background) -> None:
    room = Room(loop)
    prefetch = Prefetch(room.start_batch)
    held = rollout(room, prefetch)
    first, second = batch(0, 3, 3, 5, 5), batch(2, 1, 1, 6, 6, epoch=1)
    assert held(first, second)["prompt_ids"] == [[0]] * 4
    loop.run(asyncio.sleep(0))
    assert room.started == [0, 2] and room.ended == [0]  # the trainer has its rows already
    room.let_go()
    prefetch.wait()
    assert room.ended == [0, 2]
    rows = held(second, None)
    assert rows["prompt_ids"] == [[2]] * 4 and rows["completion_ids"] == [[1]] * 4
    assert rows["rollout_metrics"][0] == {"samples": 2.0}
    assert room.started == [0, 2], "nothing is begun after the last"
    prefetch.wait()


@pytest.mark.parametrize(
    "came", [batch(4, 1, 1, 6, 6), batch(2, 1, 1, 6, 5), batch(2, 1, 1, 6, 6, epoch=1)]
)
def test_rows_are_never_taken_for_another_batch_s(loop: Background, came: Batch) -> None:
    room = Room(loop)
    prefetch = Prefetch(room.start_batch)
    prefetch.start(batch(2, 1, 1, 6, 6), PROBLEMS[:4], [0, 1, 0, 1])
    room.let_go()
    with pytest.raises(RuntimeError, match="were held for"):
        prefetch.collect(came)
    with pytest.raises(RuntimeError, match="step 2 is still in flight"):
        prefetch.start(came, PROBLEMS[:4], [0, 1, 0, 1])


def test_what_goes_wrong_meanwhile_is_raised_before_new_weights(
    loop: Background, tmp_path: Path
) -> None:
    from src.grpo.rollouts.weights import EngineWeights

    room = Room(loop)
    room.error = ValueError("engine tutor died")
    prefetch = Prefetch(room.start_batch)
    prefetch.start(batch(2, 0), PROBLEMS[:1], [0])
    loaded: list[int] = []
    weights = EngineWeights(
        Node(),
        tmp_path,
        lambda path, v: loaded.append(v),
        lambda: pytest.fail("weights are gathered under conversations in flight"),
        prefetch.wait,
    )
    room.let_go()
    with pytest.raises(ValueError, match=r"^engine tutor died$"):
        weights.sync_weights()
    assert not loaded
    prefetch.cancel()


def test_no_conversation_meets_two_weights(loop: Background, tmp_path: Path) -> None:
    import torch

    from src.grpo.rollouts.weights import EngineWeights

    room = Room(loop)
    prefetch = Prefetch(room.start_batch)
    prefetch.start(batch(2, 0), PROBLEMS[:1], [0])
    ended_at: list[list[int]] = []
    weights = EngineWeights(
        Node(),
        tmp_path,
        lambda path, v: ended_at.append(list(room.ended)),
        lambda: torch.nn.Linear(2, 2),
        prefetch.wait,
    )
    loop.start(asyncio.sleep(0.2)).add_done_callback(lambda _: room.go.set())
    weights.sync_weights()
    assert ended_at == [[2]]
    assert prefetch.collect(batch(2, 0)) is not None, "and the batch is still there to be taken"


def test_a_run_that_stops_ends_what_is_in_flight(
    loop: Background, caplog: pytest.LogCaptureFixture
) -> None:
    room = Room(loop)
    prefetch = Prefetch(room.start_batch)
    prefetch.cancel()
    prefetch.start(batch(2, 0), PROBLEMS[:1], [0])
    loop.run(asyncio.sleep(0))
    prefetch.cancel()
    loop.wait_for_all()
    assert room.started == room.ended == [2]
    prefetch.wait()
    room.error = ValueError("no money left")
    room.let_go()
    with caplog.at_level(logging.WARNING):
        prefetch.start(batch(4, 0), PROBLEMS[:1], [0])
        loop.wait_for_all()
        prefetch.cancel()
    assert [r.getMessage() for r in caplog.records] == [
        "conversations for step 4 had failed: no money left"
    ]
