"""Scripted engines that object to being used asleep or without weights, and a classroom of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from config.roles import Phase
from src.inference_providers.base import ProviderError
from src.vllm.control import EngineControl, EngineDied
from src.vllm.residency import Residency
from src.vllm.spec import EngineSpec

FILE = Path("weights.safetensors")


class ScriptedEngine(EngineControl):
    """Keeps what a real engine would keep in memory, and says what was done to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name, Path("no.sock"))
        self.log, self.asleep = log, {"weights", "kv_cache"}
        self.lost, self.loads, self.fails = False, 0, False
        self.lives: Callable[[str], bool] = lambda name: True

    def _needs_life(self) -> None:
        if not self.lives(self.name):
            raise EngineDied(self.name, f"engine {self.name} died: nobody answers")

    def is_sleeping(self) -> bool:
        self._needs_life()
        return bool(self.asleep)

    def sleep(self, level: int) -> None:
        self._needs_life()
        self.log.append(f"{self.name} sleeps {level}")
        self.asleep, self.lost = {"weights", "kv_cache"}, level == 2

    def wake(self, *tags: str) -> None:
        self._needs_life()
        if self.fails:
            raise ProviderError(f"engine {self.name}: no memory")
        self.log.append(f"{self.name} wakes {' '.join(tags)}".strip())
        self.asleep -= set(tags) or self.asleep

    def load_weights(self, path: Path, version: int) -> int:
        self._needs_life()
        assert "weights" not in self.asleep, "weights were loaded into memory that sleeps"
        self.log.append(f"{self.name} loads {version}")
        self.lost = False
        return version

    def load_adapter(self, folder: Path, version: int) -> str:
        assert not self.asleep
        self.log.append(f"{self.name} adapter {version}")
        return f"{self.name}-{version}"

    def unload_adapter(self, name: str) -> None:
        self.log.append(f"{self.name} drops {name}")

    def use(self) -> None:
        assert not self.asleep, f"{self.name} was asked while asleep"
        assert not self.lost, f"{self.name} was asked without weights"


def classroom(residency: str) -> tuple[Residency, dict[str, ScriptedEngine], list[str]]:
    log: list[str] = []
    taken: frozenset[Phase] = frozenset({"turns"})
    phases = {"tutor": taken, "student": taken, "judge": frozenset[Phase]({"judging"})}
    sleeps = residency != "always"
    specs = [
        EngineSpec(name=n, model=n, roles=(n,), phases=p, updatable=n == "tutor", sleeps=sleeps)
        for n, p in phases.items()
    ]
    engines = {name: ScriptedEngine(name, log) for name in phases}
    if residency == "always":
        for engine in engines.values():
            engine.asleep = set()
    return Residency(specs, engines, residency), engines, log


async def converse(
    residency: Residency, engines: Mapping[str, ScriptedEngine], turns: int, pause: float
) -> None:
    for _ in range(turns):
        for name in ("tutor", "student"):
            async with residency.using(name):
                await asyncio.sleep(pause)
                engines[name].use()
    async with residency.using("judge"):
        await asyncio.sleep(pause)
        engines["judge"].use()


async def enter(residency: Residency, engine: str) -> None:
    async with residency.using(engine):
        return
