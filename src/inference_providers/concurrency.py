"""Bounded concurrency that backs off: halved when the endpoint says "too many", regrown slowly."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class AdaptiveLimit:
    """At most `limit` calls at a time, in order of arrival.

    Additive increase, multiplicative decrease: each call that goes well adds 1/limit (so one more
    slot a round), a refusal halves.  Refusals of calls that were already out when the limit was
    last halved say nothing new and do not halve it again.  Not tied to one event loop.
    """

    def __init__(self, ceiling: int) -> None:
        if ceiling < 1:
            raise ValueError(f"a limit of {ceiling} lets nothing through")
        self.ceiling = ceiling
        self.limit = float(ceiling)
        self.in_flight = 0
        self.round = 0  # how often the limit has been halved
        self._open_at = 0.0  # on the monotonic clock; nothing starts before
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Wait for a place; gives the round in which the call starts."""
        await self._enter()
        try:
            while (pause := self._open_at - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            yield self.round
        finally:
            self.in_flight -= 1
            self._admit()

    def slow_down(self, started_in: int, pause_s: float = 0.0) -> None:
        """A call of round `started_in` was refused; start nothing for `pause_s` seconds."""
        self._open_at = max(self._open_at, time.monotonic() + pause_s)
        if started_in == self.round:
            self.limit = max(1.0, self.limit / 2)
            self.round += 1

    def speed_up(self) -> None:
        """A call went well."""
        self.limit = min(float(self.ceiling), self.limit + 1.0 / self.limit)
        self._admit()

    async def _enter(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:  # the place was handed over in the same moment: pass it on
                self.in_flight -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
