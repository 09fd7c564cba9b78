"""The card at hand, and how much of its memory is taken."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

from src.time_plan.cards import CARDS, Card, card_here, cpu

GIB = 2**30


def gpu_name() -> str | None:
    """What nvidia-smi calls the first GPU; None where there is none."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def card() -> Card:
    """The card at hand; an unknown one counts as an A100, and no GPU as two cores."""
    if gpu_name() is None:
        return cpu(2)
    return card_here() or CARDS["a100-80"]


def used_bytes() -> float:
    """Taken on the first GPU by all processes together; of RAM where there is no GPU."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return float(psutil.virtual_memory().used)
    return float(done.stdout.split()[0]) * 2**20


class Memory:
    """The peak of this process on its GPU: by torch, and by the driver (`mem_get_info`)."""

    def __init__(self) -> None:
        import torch

        self.cuda = torch.cuda.is_available()
        self.before = used_bytes()  # of others: asked before this process has a context
        if self.cuda:
            torch.cuda.init()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> dict[str, float]:
        """GiB: allocated, reserved, and all that the device lost to this process at its peak."""
        import torch

        if not self.cuda:
            resident = psutil.Process().memory_info().rss / GIB
            return {"allocated": resident, "reserved": resident, "device": resident}
        free, whole = torch.cuda.mem_get_info()
        beside = whole - free - self.before - torch.cuda.memory_reserved()
        reserved = torch.cuda.max_memory_reserved()
        return {
            "allocated": torch.cuda.max_memory_allocated() / GIB,
            "reserved": reserved / GIB,
            "device": (reserved + beside) / GIB,
        }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of `work`, the device's included, and what it gave."""
    import torch

    def settle() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    settle()
    began = time.perf_counter()
    found = work()
    settle()
    return time.perf_counter() - began, found
