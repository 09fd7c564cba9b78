"""Which engines are awake: requests wait at a gate, and engines sleep and wake around them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from src.inference_providers.base import ProviderError
from src.vllm.control import EngineControl, EngineDied, Published
from src.vllm.gate import Gate, Ticket, groups_of
from src.vllm.spec import EngineSpec

T = TypeVar("T")
log = logging.getLogger(__name__)
WATCH_S = 1.0
LINGER_S = 0.02  # an awake group gets this long to be asked again before another is woken


class Residency:
    """Sleeps and wakes the engines of one node; one instance a node, in the lead process.

    Before the first use it asks each engine whether it sleeps.  A switch is one task at a time:
    who leaves is put to sleep first, then who comes is woken, so two groups are never awake
    together.  An engine that dies meanwhile is replaced where that is wanted, and what was done
    to it is done again.
    """

    def __init__(
        self,
        specs: Sequence[EngineSpec],
        controls: Mapping[str, EngineControl],
        residency: str,
        *,
        check: Callable[[], None] = lambda: None,
        restart: Callable[[str], None] | None = None,
    ) -> None:
        """`check` raises EngineDied; `restart`, if given, replaces a dead engine by a new one."""
        self._check, self._restart = check, restart
        self._reviving: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = threading.Lock()  # sleeping, waking, loading, replacing
        self._revived: set[str] = set()
        self.specs = {spec.name: spec for spec in specs}
        self.controls = controls
        sleeping = {name: spec.phases for name, spec in self.specs.items() if spec.sleeps}
        self.gate = Gate(groups_of(residency, sleeping))
        self._seen_awake: set[str] | None = None
        self._weights: dict[str, Published] = {}
        self._held: dict[str, Published] = {}  # loaded, and kept through sleep
        self._adapters: dict[str, str] = {}  # engine -> the adapter that its requests name
        self._admitted: dict[Ticket, asyncio.Future[None]] = {}
        self._switcher: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    def awake(self) -> frozenset[str]:
        """The names of the engines that are awake."""
        return frozenset(self._known_awake)

    @property
    def _known_awake(self) -> set[str]:
        """What is awake, asked of the engines the first time and kept from then on."""
        if self._seen_awake is None:
            self._seen_awake = {n for n, c in self.controls.items() if not c.is_sleeping()}
            gated = {n for n in self._seen_awake if self.gate.is_gated(n)}
            self.gate.current = next((g for g in self.gate.groups if gated == g), frozenset())
        return self._seen_awake

    @contextlib.asynccontextmanager
    async def using(self, engine: str) -> AsyncIterator[None]:
        """Wait until the engine is awake, and keep it so inside."""
        if not self.gate.is_gated(engine):
            yield
            return
        self._raise_failure()
        ticket = self.gate.ask(engine)
        admitted = self._admitted[ticket] = asyncio.get_running_loop().create_future()
        self._move_on()
        try:
            await admitted
            yield
        finally:
            self._admitted.pop(ticket, None)
            self.gate.leave(ticket)
            self._move_on()

    def set_weights(self, engine: str, path: Path, version: int) -> None:
        """From now on the engine has these weights: loaded now if it is awake, else as it wakes.

        Blocking; to be called while no request runs on the engine.
        """
        self._raise_failure()
        if self.gate.active[engine]:
            raise RuntimeError(f"engine {engine}: new weights while requests are running")
        self._weights[engine] = Published(path, version)

        def load() -> None:
            if engine in self.awake():
                self._load(engine)

        self._surviving(load)

    def served_model(self, engine: str) -> str:
        """The model name to ask the engine for: its own, or that of its current adapter."""
        return self._adapters.get(engine, engine)

    def rest(self) -> None:
        """Put every engine that sleeps to sleep, to leave the memory to the trainer.  Blocking."""
        self._raise_failure()
        if self.gate.waiting or self._switcher is not None:
            raise RuntimeError("engines cannot rest while requests wait")
        self._surviving(lambda: self._change_to(frozenset()))
        self.gate.switched(frozenset())

    # -- death -------------------------------------------------------------------------------

    async def guarded(self, work: Coroutine[None, None, T]) -> T:
        """The result of `work`, which is cancelled as soon as an engine has died for good.

        Who died while nobody watched is replaced before `work` begins.
        """
        try:
            await asyncio.to_thread(self._surviving, self._check)
        except BaseException:
            work.close()
            raise
        working = asyncio.ensure_future(work)
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                watching.result()  # raises what it died of
            return await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                self._check()
            except EngineDied as death:
                await self.revive(death)
            await asyncio.sleep(WATCH_S)

    async def revive(self, death: EngineDied) -> None:
        """Replace a dead engine, once for all who wait; raises `death` where that is not wanted.

        The new one has the current weights and is awake or asleep as the dead one was.
        """
        self._refuse_unless_restarting(death)
        task = self._reviving.get(death.name)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._replace, death))
            self._reviving[death.name] = task

            def over(done: asyncio.Task[None]) -> None:
                self._reviving.pop(death.name)
                if not done.cancelled():
                    done.exception()  # whoever waited for it may have been cancelled

            task.add_done_callback(over)
        await asyncio.shield(task)

    async def revived(self, engine: str) -> None:
        """Wait while the engine is being replaced: until then a new one has its first weights."""
        if (task := self._reviving.get(engine)) is not None:
            await asyncio.shield(task)

    def _refuse_unless_restarting(self, death: EngineDied) -> None:
        if self._restart is None:
            self._check()  # what it died of, where that is known by now
            raise death

    def _replace(self, death: EngineDied) -> None:
        self._refuse_unless_restarting(death)
        assert self._restart is not None
        name = death.name
        with self._one_at_a_time:
            if name in self._revived and self._lives(name):
                return  # somebody else noticed the same death before
            log.warning("%s; restarting it", death)
            self._restart(name)
            self._adapters.pop(name, None)
            self._held.pop(name, None)
            if name not in self.awake():
                self.controls[name].sleep(level=1)
            elif name in self._weights:
                self._load(name)
            self._revived.add(name)

    def _lives(self, engine: str) -> bool:
        try:
            self._check()
        except EngineDied as death:
            return death.name != engine
        return True

    def _surviving(self, change: Callable[[], None]) -> None:
        """Do it, and again after an engine that died of it, or before, has been replaced."""
        for _ in self.specs:  # each is replaced once
            try:
                with self._one_at_a_time:
                    return change()
            except EngineDied as death:
                self._replace(death)
        with self._one_at_a_time:
            change()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _move_on(self) -> None:
        for ticket in self.gate.admit():
            future = self._admitted[ticket]
            if not future.done():
                future.set_result(None)
        if self._switcher is None and self.gate.next_group() is not None:
            self._switcher = asyncio.get_running_loop().create_task(self._switch())

    async def _switch(self) -> None:
        try:
            await asyncio.sleep(LINGER_S)
            group = self.gate.next_group()
            if group is not None:
                await self._switch_to(group)
        except asyncio.CancelledError:
            raise  # the loop is closing
        except Exception as error:
            self._fail(error)  # every waiter and every later caller gets it
        else:
            self._switcher = None
            self._move_on()
        finally:
            self._switcher = None

    async def _switch_to(self, group: frozenset[str]) -> None:
        self.gate.switch()
        try:
            await asyncio.to_thread(self._surviving, lambda: self._change_to(group))
        except asyncio.CancelledError:
            self._failure = ProviderError("engines: interrupted while they were being woken")
            raise
        self.gate.switched(group)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        for future in self._admitted.values():
            if not future.done():
                future.set_exception(error)

    def _change_to(self, group: frozenset[str]) -> None:
        gated = {engine for engine in self.awake() if self.gate.is_gated(engine)}
        for engine in sorted(gated - group):
            self._sleep(engine, comes_back=bool(group))
        for engine in sorted(group - gated):
            self._wake(engine)

    def _sleep(self, engine: str, *, comes_back: bool) -> None:
        """Level 2 where a file holds the weights and new ones are expected, since the trainer is
        next; else level 1, a copy in RAM: reading the file costs far more than the copy."""
        whole = engine in self._weights and not self.specs[engine].lora_rank
        self._known_awake.discard(engine)
        level = 2 if whole and not comes_back else 1
        if level == 2:
            self._held.pop(engine, None)
        self.controls[engine].sleep(level=level)

    def _wake(self, engine: str) -> None:
        """One operation: an engine with newer published weights gets them before its KV cache."""
        control, current = self.controls[engine], self._weights.get(engine)
        if current is None or self._held.get(engine) == current:
            control.wake()
        elif self.specs[engine].lora_rank:
            control.wake()
            self._load(engine)
        else:
            control.wake("weights")
            self._load(engine)
            control.wake("kv_cache")
        if control.is_sleeping():
            raise ProviderError(f"engine {engine}: did not wake up; it has to be restarted")
        self._known_awake.add(engine)

    def _load(self, engine: str) -> None:
        control, current = self.controls[engine], self._weights[engine]
        if not self.specs[engine].lora_rank:
            control.load_weights(current.path, current.version)
            self._held[engine] = current
            return
        before = self._adapters.get(engine)
        name = self._adapters[engine] = control.load_adapter(current.path, current.version)
        if before is not None and before != name:
            control.unload_adapter(before)
