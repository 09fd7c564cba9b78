"""Published figures of GPUs, and how much memory is taken on the one at hand."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Card:
    """Dense bf16 FLOP/s and bytes/s of memory, as NVIDIA's data sheets give them."""

    name: str
    flops: float
    bandwidth: float


CARDS = (
    Card("H200", 989e12, 4.8e12),
    Card("H100 PCIe", 756e12, 2.0e12),
    Card("H100", 989e12, 3.35e12),
    Card("A100", 312e12, 2.039e12),
    Card("L40S", 362e12, 0.864e12),
    Card("4090", 165e12, 1.008e12),
)
CPU = Card("CPU", 1e11, 2e10)  # two cores; only so that a dry run has a number


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
    """The card at hand; an unknown one counts as an A100."""
    name = gpu_name()
    if name is None:
        return CPU
    return next((c for c in CARDS if all(w in name for w in c.name.split())), CARDS[3])


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
