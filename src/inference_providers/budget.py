"""A shared cap on what hosted models may cost in one run: requests, tokens, dollars.

A call reserves the most it can take before it goes out and settles for what it took.  Near the
cap, calls wait for those in flight to settle; a call that would still exceed it raises, and so do
all later ones, while those in flight finish.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.schema import EngineSettings
from src.inference_providers.base import ProviderError


class BudgetReached(ProviderError):
    """The next request would exceed a cap of the run.  One line that names the setting."""


class Ticket:
    """One admitted request and what is reserved for it."""

    def __init__(self, budget: Budget, model: str, tokens: int, cost_usd: float) -> None:
        self._budget, self._model = budget, model
        self.tokens, self.cost_usd = tokens, cost_usd

    def settle(self, tokens: int, cost_usd: float | None) -> None:
        """Book what the answer took; `cost_usd` None where the endpoint reports no cost.

        Raises ProviderError where dollars are capped and this model has never named a price.
        """
        self._budget._settle(self._model, self, tokens, cost_usd)

    def lost(self) -> None:
        """Book the whole reservation: the answer never arrived, but may have been billed."""
        self._budget._settle(self._model, self, self.tokens, self.cost_usd)


class Budget:
    """Caps for one run, shared by all its hosted providers; 0 is no cap.

    The token cap is strict: a reservation is an upper bound.  Prices are learned, so the dollar
    cap is as strict as "no token costs more than the dearest one so far"; until a model has named
    a price, its calls go out one at a time.
    """

    def __init__(
        self, *, max_requests: int = 0, max_tokens: int = 0, max_cost_usd: float = 0.0
    ) -> None:
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self.max_cost_usd = max_cost_usd
        self.requests, self.tokens, self.cost_usd = 0, 0, 0.0
        self.reached: str | None = None  # why the run may ask no more
        self._held_tokens, self._held_cost, self._in_flight = 0, 0.0, 0
        self._prices: dict[str, float] = {}  # model -> dollars of its dearest token so far
        self._waiting: list[asyncio.Future[None]] = []

    @classmethod
    def from_settings(cls, engines: EngineSettings) -> Budget:
        return cls(
            max_requests=engines.max_requests,
            max_tokens=engines.max_tokens,
            max_cost_usd=engines.max_cost_usd,
        )

    def add(self, *, requests: int = 0, tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Count what an earlier part of this run has spent (a resumed run)."""
        self.requests += requests
        self.tokens += tokens
        self.cost_usd += cost_usd

    @asynccontextmanager
    async def call(self, model: str, tokens: int) -> AsyncIterator[Ticket]:
        """One request that takes at most `tokens`, prompt and answer together.

        Left without `settle` or `lost`, the request took nothing.  Raises BudgetReached.
        """
        while True:
            cost = self._prices.get(model, 0.0) * tokens
            self._refuse_if_over(tokens, cost)
            if self._fits(model, tokens, cost):
                break
            await self._something_settled()
        self.requests += 1
        self._in_flight += 1
        self._held_tokens += tokens
        self._held_cost += cost
        ticket = Ticket(self, model, tokens, cost)
        try:
            yield ticket
        finally:
            self._in_flight -= 1
            self._held_tokens -= tokens
            self._held_cost = self._held_cost - cost if self._in_flight else 0.0
            self._wake()

    def _refuse_if_over(self, tokens: int, cost: float) -> None:
        """Raise where not even an idle moment would admit this call."""
        if self.reached is None:
            if self.max_requests and self.requests + 1 > self.max_requests:
                self.reached = f"engines.max_requests: {self.requests} requests are made"
            elif self.max_tokens and self.tokens + tokens > self.max_tokens:
                self.reached = (
                    f"engines.max_tokens: {self.tokens} of {self.max_tokens} tokens are used and "
                    f"the next request may take {tokens}"
                )
            elif self.max_cost_usd and self.cost_usd + cost > self.max_cost_usd:
                self.reached = (
                    f"engines.max_cost_usd: ${self.cost_usd:.4f} of ${self.max_cost_usd:.4f} are "
                    f"spent and the next request may cost ${cost:.4f}"
                )
        if self.reached is not None:
            self._wake()
            raise BudgetReached(self.reached)

    def _fits(self, model: str, tokens: int, cost: float) -> bool:
        """Whether the call can go out beside those in flight."""
        if self.max_tokens and self.tokens + self._held_tokens + tokens > self.max_tokens:
            return False
        if not self.max_cost_usd:
            return True
        if model not in self._prices:
            return self._in_flight == 0
        # In floating point an idle budget must admit whatever `_refuse_if_over` let through.
        return not self._in_flight or self.cost_usd + self._held_cost + cost <= self.max_cost_usd

    def _settle(self, model: str, ticket: Ticket, tokens: int, cost_usd: float | None) -> None:
        self.tokens += tokens
        if cost_usd is not None:
            price = cost_usd / max(tokens, 1)
            self._prices[model] = max(price, self._prices.get(model, 0.0))
            self.cost_usd += cost_usd
        elif model in self._prices:
            self.cost_usd += self._prices[model] * tokens
        elif self.max_cost_usd:
            raise ProviderError(
                f"engines.max_cost_usd: {model} reports no cost, so dollars cannot be capped; "
                "cap engines.max_tokens or engines.max_requests instead"
            )

    async def _something_settled(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
