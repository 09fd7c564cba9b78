"""One rollout as a node's lead makes it, on the jumping clock: CPU time, memory, requests, record.

All is ours and real but the engines: rendering, client, gate, classroom, rewards, record, rows for
the trainer.  Each runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil

from benchmarks.growth.engines import Load, Texts, traced_providers
from benchmarks.speed.running import settings
from benchmarks.speed.schedules import JumpingLoop, here
from src.classroom import Classroom
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.prefetch import Batch
from src.grpo.rollouts.rollout import Rollout
from src.inference_providers.budget import Budget
from src.setup import build_classroom, load_tokenizer
from src.time_plan.assumed import assumed
from utils.data.problems import Problem
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord
from utils.runs.record_writer import RecordWriter

SAMPLES = 8
MODELS = ("teacher_model", "student_model", "judge_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What conversations are like: a shipped config, whose tokenizer, as long as whose texts."""

    config: str
    model: str
    lengths: str = ""  # empty: a 7B model's
    more: tuple[str, ...] = ()


TOY = "toy/checkpoints/tutor"
SMALL = Kind(  # as little as a conversation can be, so that many can be simulated
    config="toy",
    model=TOY,
    lengths=TOY,
    more=("generation.max_turns=3", "generation.number_student_attempts=1"),
)
WHOLE = Kind(config="7b", model="embedded:smollm2-135m-instruct")  # as the paper's 7B config


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one rollout took; seconds are of CPU, but for those of the simulated clock."""

    conversations: int
    cpu_s: float
    memory_bytes: int  # the peak, beyond what stood before
    requests: int
    most_in_flight: int
    record_bytes: int
    tokens: int
    simulated_s: float

    @property
    def cpu_ms(self) -> float:
        """Of one conversation."""
        return 1e3 * self.cpu_s / self.conversations

    @property
    def share(self) -> float:
        """Of the simulated seconds, those in which the lead is busy."""
        return self.cpu_s / self.simulated_s


def opened(kind: Kind, residency: str) -> tuple[Classroom, Load]:
    """A classroom of this kind on simulated engines, and what they will have been asked."""
    names = [f"{role}.model_name_or_path={kind.model}" for role in MODELS]
    cfg = settings(kind.config, *names, *kind.more)
    tokenizer = load_tokenizer(cfg.teacher_model, "teacher_model")

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    lengths = assumed(kind.lengths, on_cpu=False)
    texts = Texts(encode, lengths, cfg.generation.max_turns)
    providers, load = traced_providers(texts, residency)
    budget = Budget.from_settings(cfg.engines)
    return build_classroom(cfg, providers, evaluation=False, budget=budget), load


def measure(
    conversations: int, kind: Kind = SMALL, residency: str = "turn"
) -> tuple[Cost, list[ConversationRecord]]:
    """One rollout in this process."""
    room, load = opened(kind, residency)
    problems = [
        Problem(id=f"p{n}", text="What is 21+47?", answer="68")
        for n in range(conversations // SAMPLES)
    ]
    records: list[ConversationRecord] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(patch.object(asyncio, "to_thread", here))
        runner = stack.enter_context(asyncio.Runner(loop_factory=JumpingLoop))
        writer = RecordWriter(Path(folder))

        def run_batch(
            found: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
        ) -> list[ConversationRecord]:
            work = room.run(found, samples=samples, step=step, on_finished=writer.add)
            records.extend(runner.run(work))
            writer.settle()
            return records

        rollout = Rollout(
            Node(),
            problems,
            run_batch,
            samples_per_problem=SAMPLES,
            filler=0,
            metrics=rollout_metrics,
            credit=True,
        )
        rows = Batch(indices=[n // SAMPLES for n in range(conversations)], step=0, epoch=0)
        before, began = psutil.Process().memory_info().rss, time.process_time()
        rollout(rows)
        return Cost(
            conversations=conversations,
            cpu_s=time.process_time() - began,
            memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before,
            requests=load.requests,
            most_in_flight=load.most,
            record_bytes=writer.record.stat().st_size,
            tokens=load.tokens,
            simulated_s=runner.get_loop().time(),
        ), records


def cost(conversations: int, kind: Kind, residency: str) -> Cost:
    measure(SAMPLES, kind, residency)  # what is done once, is done
    return measure(conversations, kind, residency)[0]


def alone(conversations: int, kind: Kind = SMALL, residency: str = "turn") -> Cost:
    """The cost of one rollout in a process of its own, forked off: it has all imports already."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(cost, conversations, kind, residency).result()
