"""Public figures of GPUs, and a CPU as one more card."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Dense bf16 FLOP/s, and bytes/s: of memory, to other GPUs (one way), to the host.

    From NVIDIA's data sheets: A100 80GB SXM (2021), H100 SXM (2023), H200 (2024), L40S (2023),
    Ada architecture paper (RTX 4090: FP32 accumulation).  `named`: all words of nvidia-smi's name.
    """

    name: str
    named: tuple[str, ...]
    flops: float
    bandwidth: float
    gib: float  # that CUDA can give
    link: float
    host: float


CARDS = {
    "a100-80": Card(
        name="A100 SXM 80 GB", named=("A100", "80"), flops=312e12, bandwidth=2.039e12,
        gib=80.0, link=300e9, host=32e9,
    ),
    "h100-80": Card(
        name="H100 SXM 80 GB", named=("H100", "80GB"), flops=989e12, bandwidth=3.35e12,
        gib=80.0, link=450e9, host=64e9,
    ),
    "h200": Card(
        name="H200 SXM 141 GB", named=("H200",), flops=989e12, bandwidth=4.8e12,
        gib=139.8, link=450e9, host=64e9,
    ),
    "l40s": Card(
        name="L40S 48 GB", named=("L40S",), flops=362e12, bandwidth=0.864e12,
        gib=44.5, link=32e9, host=32e9,
    ),
    "4090": Card(
        name="RTX 4090 24 GB", named=("4090",), flops=165e12, bandwidth=1.008e12,
        gib=23.6, link=32e9, host=32e9,
    ),
}  # fmt: skip
# Of one core with AVX-512, in fp32: measured on the two of docs/benchmarks.md's table.
CORE_FLOPS, CORE_BANDWIDTH = 1e11, 12e9


def cpu(cores: int) -> Card:
    """All cores as one card."""
    return Card(
        name=f"{cores} CPU cores", named=(), flops=cores * CORE_FLOPS,
        bandwidth=cores * CORE_BANDWIDTH, gib=0.0, link=10e9, host=10e9,
    )  # fmt: skip


def card_named(said: str) -> Card | None:
    """The card that nvidia-smi calls so; None for one that is not in the table."""
    found = (card for card in CARDS.values() if all(word in said for word in card.named))
    return None if "PCIe" in said else next(found, None)


def card_here() -> Card | None:
    """The first GPU of this machine."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return card_named(done.stdout.split("\n")[0])
