"""Rewards and records of 8,192 conversations that finish in any order: cost each, none mixed up."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.results import Result, compare, repeated
from config.schema import GenerationSettings, RewardModelSettings
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.prefetch import Batch
from src.grpo.rollouts.rollout import Rollout
from tests.synthetic import record
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.rewards import RewardSettings, rewards
from utils.runs.record_writer import RecordWriter
from utils.seeding import keyed_rng

COUNT, SAMPLES = 8192, 8


def conversations(count: int) -> list[ConversationRecord]:
    """Finished ones, without rewards."""
    made = [record(n, samples=SAMPLES, tokens=True, split="train") for n in range(count)]
    for one in made:
        one.rewards = {}
    return made


def seconds(made: Sequence[ConversationRecord]) -> float:
    """CPU seconds from finished conversations to rows of TRL, on disk as well; checks every row."""
    settings = RewardSettings.of(GenerationSettings(), RewardModelSettings())
    order = list(range(len(made)))
    keyed_rng("finishing").shuffle(order)

    def run_batch(*_: Any) -> list[ConversationRecord]:
        for n in order:
            made[n].rewards = rewards(made[n], settings)
            writer.add(made[n])
        writer.settle()
        return list(made)

    problems = [Problem(id=f"p{n}", text="?", answer="1") for n in range(len(made) // SAMPLES)]
    rollout = Rollout(
        Node(),
        problems,
        run_batch,
        samples_per_problem=SAMPLES,
        filler=0,
        metrics=lambda records: {},
    )
    batch = Batch(indices=[n // SAMPLES for n in range(len(made))], step=0, epoch=0)
    with tempfile.TemporaryDirectory() as folder:
        writer = RecordWriter(Path(folder))
        began = time.process_time()
        rows = rollout(batch)
        spent = time.process_time() - began
    for n, one in enumerate(made):
        assert one.trajectory is not None
        mine = (rows["outcome"][n], rows["completion_ids"][n], rows["env_mask"][n])
        right = (rewards(one, settings), one.trajectory.completion_ids, one.trajectory.mask)
        if mine != right:
            raise AssertionError(f"conversation {n} was given what belongs to another")
    return spent


def measure(name: str, repeats: int) -> Result:
    """CPU milliseconds a conversation."""
    few, many = conversations(COUNT // 8), conversations(COUNT)
    small = seconds(few) / len(few)
    pairs = repeated(repeats, lambda _: (1e3 * seconds(many) / COUNT, None))
    print(f"  at {len(few)} conversations {1e3 * small:.3f} ms each; every row was checked")
    return compare(name, "ms", pairs)
