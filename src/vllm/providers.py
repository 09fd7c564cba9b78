"""Who asks our engines: a provider per role, which waits until its engine is awake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from src.inference_providers.base import ChatMessage, Completion, Sampling
from src.vllm.client import EngineProvider
from src.vllm.control import EngineDied
from src.vllm.engines import EngineSet
from src.vllm.residency import Residency

T = TypeVar("T")


class ResidentProvider:
    """An engine's provider that waits for its engine to be awake."""

    gives_tokens = True

    def __init__(self, inner: EngineProvider, residency: Residency) -> None:
        self.inner, self.residency, self.name = inner, residency, inner.name
        self._engine = inner.engine.spec.name

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        return await self._awake(
            lambda model: self.inner.complete_tokens(prompt_ids, sampling, model)
        )

    async def complete_samples(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """n samples of one prompt, in one request."""
        return await self._awake(
            lambda model: self.inner.complete_samples(prompt_ids, sampling, n, model)
        )

    async def _awake(self, ask: Callable[[str], Awaitable[T]]) -> T:
        """Ask the model that the engine serves then; once more where the engine had to restart."""
        async with self.residency.using(self._engine):
            try:
                return await self._served(ask)
            except EngineDied as death:
                if death.name != self._engine:
                    raise
                await self.residency.revive(death)
                return await self._served(ask)

    async def _served(self, ask: Callable[[str], Awaitable[T]]) -> T:
        await self.residency.revived(self._engine)
        return await ask(self.residency.served_model(self._engine))

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        return await self.inner.complete_messages(messages, sampling)

    async def close(self) -> None:
        await self.inner.close()


def providers_of(engines: EngineSet) -> tuple[dict[str, ResidentProvider], Residency]:
    """A provider per role that has an engine, and the residency behind them all."""
    controls = {name: engine.control for name, engine in engines.engines.items()}
    specs = [engine.spec for engine in engines.engines.values()]
    again = engines.settings.on_engine_death == "restart"
    residency = Residency(
        specs,
        controls,
        engines.settings.residency,
        check=engines.check,
        restart=engines.restart if again else None,
    )
    deadline_s = engines.settings.request_timeout_s
    providers: dict[str, ResidentProvider] = {}
    for engine in engines.engines.values():
        inner = EngineProvider(engine, engines.check, deadline_s)
        provider = ResidentProvider(inner, residency)
        providers |= dict.fromkeys(engine.spec.roles, provider)
    return providers, residency
