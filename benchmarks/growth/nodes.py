"""What nodes cost each other: the node layer itself, over gloo, one process for each node's lead.

Leads of all nodes make their groups, meet in the pulse, and share what they evaluated; outcomes of
a whole batch go to every rank, as `train.credit` has it.  All on one machine, so that CPU seconds
are of one lead and say nothing of the wires.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.context import ForkContext

import torch.distributed as dist

from src.grpo.rollouts.node import Node
from utils.credit.outcomes import Outcome

TIMES = 10  # each is done, but for groups
PULSE_S = 0.01  # as short as it can be: what is measured is its CPU time
ROWS, METRICS = 128, 60  # of a node, of an evaluation
PATIENCE = timedelta(minutes=20)  # many processes on few cores


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCost:
    """CPU milliseconds of one lead, the mean over leads; `files` open, the most of a lead."""

    nodes: int
    groups_ms: float
    pulse_ms: float
    evaluation_ms: float
    outcomes_ms: float
    files: int


def _spent(work: Callable[[], object], times: int = 1) -> float:
    dist.barrier()  # all begin together, so that nobody's waiting is another one's start
    began = time.process_time()
    for _ in range(times):
        work()
    return 1e3 * (time.process_time() - began) / times


def _lead(rank: int, nodes: int, store_file: str) -> dict[str, float]:
    """One node's lead: what each of these costs it."""
    os.environ["LOCAL_WORLD_SIZE"] = "1"
    store = dist.FileStore(store_file, nodes)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=nodes, timeout=PATIENCE)
    made: list[Node] = []
    groups = _spent(lambda: made.append(Node(PULSE_S, PATIENCE)))
    [node] = made
    metrics = {f"metric_{n}": (0.5 + n, ROWS) for n in range(METRICS)}
    rewards = {"solve": 0.625, "pedagogy": 0.0, "total": 0.625}
    outcomes = [Outcome(rewards=rewards) for _ in range(ROWS)]
    found: list[list[Outcome] | None] = [None] * nodes
    return {
        "groups_ms": groups,
        "pulse_ms": _spent(lambda: node._worst(0), TIMES),
        "evaluation_ms": _spent(lambda: node.from_leads(metrics), TIMES),
        "outcomes_ms": _spent(lambda: dist.all_gather_object(found, outcomes), TIMES),
        "files": len(os.listdir("/proc/self/fd")),
    }


def among(nodes: int) -> NodeCost:
    """The cost of so many nodes to one of their leads."""
    context: ForkContext = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(nodes, context) as pool:
        parts = [pool.submit(_lead, rank, nodes, f"{folder}/store") for rank in range(nodes)]
        found = [part.result() for part in parts]

    def mean(name: str) -> float:
        return statistics.mean(each[name] for each in found)

    return NodeCost(
        nodes=nodes,
        groups_ms=mean("groups_ms"),
        pulse_ms=mean("pulse_ms"),
        evaluation_ms=mean("evaluation_ms"),
        outcomes_ms=mean("outcomes_ms"),
        files=max(int(each["files"]) for each in found),
    )
