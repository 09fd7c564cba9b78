"""Waiting for a rollout that takes longer than any collective may: real gloo, real processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S, ROLLOUT_S = 2.0, 6.0
PULSE_S = 0.1


def _rank(rank: int, ranks: int, local: int, folder: str, slow: int, fails: bool) -> None:
    """One rank; `slow` is the lead whose work takes longer than the collectives' time-out."""
    import torch.distributed as dist

    from src.grpo.rollouts.node import LeadFailed, Node

    os.environ["LOCAL_WORLD_SIZE"] = str(local)
    timeout = timedelta(seconds=TIMEOUT_S)
    store = dist.FileStore(f"{folder}/store", ranks)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks, timeout=timeout)
    node = Node(PULSE_S, timeout)

    def work() -> str:
        if rank == slow:
            time.sleep(ROLLOUT_S)
            if fails:
                raise ValueError("no")
        return f"held by {rank}"

    try:
        said: Any = node.on_lead(work)
        dist.barrier()  # whoever was early would have run into its time-out here
    except (LeadFailed, ValueError) as error:
        said = type(error).__name__
    Path(folder, f"said-{rank}").write_text(str(said))
    os._exit(0)  # what a failed rank leaves half done is not waited for


def _run(folder: Path, ranks: int, local: int, slow: int, fails: bool = False) -> list[str]:
    fork = multiprocessing.get_context("fork")
    arguments = [(rank, ranks, local, str(folder), slow, fails) for rank in range(ranks)]
    processes = [fork.Process(target=_rank, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [(folder / f"said-{rank}").read_text() for rank in range(ranks)]


@pytest.mark.parametrize(("ranks", "local", "slow"), [(2, 2, 0), (2, 1, 1), (4, 2, 2)])
def test_a_rollout_may_outlast_the_collectives(
    tmp_path: Path, ranks: int, local: int, slow: int
) -> None:
    """One node; two nodes of one rank; two nodes of two, the second of which is slow."""
    said = _run(tmp_path, ranks, local, slow)
    assert said == [f"held by {r}" if r % local == 0 else "None" for r in range(ranks)]


def test_a_lead_that_fails_ends_every_node(tmp_path: Path) -> None:
    said = _run(tmp_path, 4, 2, slow=2, fails=True)
    assert said == ["LeadFailed", "LeadFailed", "ValueError", "LeadFailed"]


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1", True),
        ("[gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer.", True),
        ("[gloo/transport/tcp/pair.cc:537] Write error: Broken pipe.", True),
        ("[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 2000ms for recv", False),
        ("shape mismatch", False),
    ],
)
def test_a_rank_that_is_gone_is_told_from_other_failures(said: str, gone: bool) -> None:
    from src.grpo.rollouts.node import peer_is_gone

    assert peer_is_gone(RuntimeError(said)) is gone
