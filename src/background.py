"""An event loop in a thread of its own, so that ordinary code can hold a classroom's open sockets.

Connections belong to the loop that made them; one loop for the whole run keeps them alive between
rollouts.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
CANCELLED_S = 10  # at most that long what was cancelled may take to end


class Background:
    """`with Background() as loop: loop.run(coroutine)`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="classroom", daemon=True
        )

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin it; `result()` of what comes back waits for its end, or raises what it raised."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end and return its result.

        Interrupted, it is cancelled and has ended before this returns, or what it asks meanwhile
        would open anew the connections that the caller closes next.
        """
        ended = threading.Event()

        async def whole() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = self.start(whole())
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(CANCELLED_S)
            raise

    def wait_for_all(self) -> None:
        """Return when whatever was begun has ended, as what was cancelled soon does."""

        async def wait() -> None:
            running = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*running, return_exceptions=True)

        self.run(wait())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._loop.close()
