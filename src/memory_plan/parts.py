"""What a memory plan is made of: a machine, phases, and what lies where in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from src.memory_plan.arithmetic import ModelShape, Sharding
from src.memory_plan.shapes import model_shape
from src.vllm.server import Machine


def summed(items: Iterable[Item]) -> dict[str, float]:
    """Bytes by what they are: of all ranks, say."""
    sums: dict[str, float] = {}
    for item in items:
        sums[item.what] = sums.get(item.what, 0.0) + item.size
    return sums


def total(items: list[Item]) -> float:
    return sum(item.size for item in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A machine to plan for; `gpus` 0: all engines and ranks lie in RAM."""

    gpus: int
    gpu_bytes: float
    ram_bytes: float

    @property
    def machine(self) -> Machine:
        return Machine(gpus=tuple(str(gpu) for gpu in range(self.gpus)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the ranks of one node train; `zero` shards over those of all nodes."""

    zero: Sharding
    local_ranks: int
    on_cpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something in memory, and the setting that it goes by."""

    what: str
    size: float
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One state of the run: what lies on each GPU, and in RAM."""

    name: str
    gpus: list[list[Item]]
    ram: list[Item]


@dataclass(slots=True, kw_only=True)
class Plan:
    """A run on a machine; `held` says of each engine how many tokens its KV cache holds.

    `trained_dtype`: of the weights that are handed over; `weights_in_ram`: their folder is there.
    """

    described: Described
    trained_dtype: str
    weights_in_ram: bool = True
    phases: list[Phase] = field(default_factory=list)
    held: dict[str, tuple[int, int]] = field(default_factory=dict)  # tokens, whole requests
    too_small: list[Item] = field(default_factory=list)  # engines without room for one request

    def overfull(self) -> Iterator[tuple[Phase, str, list[Item], float]]:
        """Phases that do not fit: where, what is there, and the bytes that there are."""
        for phase in self.phases:
            for gpu, items in enumerate(phase.gpus):
                if total(items) > self.described.gpu_bytes:
                    yield phase, f"GPU {gpu}", items, self.described.gpu_bytes
            if total(phase.ram) > self.described.ram_bytes:
                yield phase, "RAM", phase.ram, self.described.ram_bytes

    @property
    def fits(self) -> bool:
        return not self.too_small and next(self.overfull(), None) is None


def shape_of(name: str, role: str, trusted: bool = False) -> ModelShape:
    return model_shape(name, f"{role}.model_name_or_path", trusted)
