"""Caps on requests, tokens and dollars."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import EngineSettings
from src.inference_providers.base import ChatMessage, ProviderError, Sampling
from src.inference_providers.budget import Budget, BudgetReached
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.fault_server import FaultServer, hang, ok, status

CHAT: list[ChatMessage] = [{"role": "user", "content": "hello"}]


async def spend(budget: Budget, tokens: int, cost: float | None, most: int = 100) -> None:
    async with budget.call("m", most) as ticket:
        await asyncio.sleep(0)
        ticket.settle(tokens, cost)


async def outcomes(calls: list[Awaitable[None]]) -> list[type | None]:
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [type(r) if r is not None else None for r in results]


async def test_requests_are_capped_and_all_later_ones_refused() -> None:
    budget = Budget(max_requests=3)
    got = await outcomes([spend(budget, 10, 0.0) for _ in range(5)])
    assert got == [None] * 3 + [BudgetReached] * 2
    assert budget.requests == 3 and budget.tokens == 30
    with pytest.raises(BudgetReached, match=r"^engines\.max_requests: 3 requests"):
        await spend(budget, 1, 0.0)


async def test_calls_near_the_token_cap_wait_for_those_in_flight() -> None:
    """Each may take 100 but takes 10: all five fit in 150, if they go out one by one."""
    budget = Budget(max_tokens=150)
    assert await outcomes([spend(budget, 10, None) for _ in range(5)]) == [None] * 5
    assert budget.tokens == 50
    await spend(budget, 10, None, most=90)
    with pytest.raises(BudgetReached, match=r"60 of 150 tokens are used.* may take 91"):
        await spend(budget, 10, None, most=91)


@given(st.lists(st.integers(1, 100), max_size=30), st.integers(100, 1000))
def test_the_token_cap_is_never_exceeded(taken: list[int], cap: int) -> None:
    budget = Budget(max_tokens=cap)

    async def run() -> None:
        await outcomes([spend(budget, tokens, None) for tokens in taken])

    asyncio.run(run())
    assert budget.tokens <= cap
    if sum(taken) + 100 <= cap:
        assert budget.reached is None and budget.tokens == sum(taken)


async def test_dollars_are_capped_by_the_price_learned() -> None:
    """A cent a token, at most 100 tokens a call: ten calls of 0.50 fit before 5.51 stops one."""
    budget = Budget(max_cost_usd=5.51)
    got = await outcomes([spend(budget, 50, 0.50) for _ in range(20)])
    assert got == [None] * 10 + [BudgetReached] * 10
    assert budget.cost_usd == pytest.approx(5.0)
    assert str(budget.reached).startswith("engines.max_cost_usd: $5.0000 of $5.5100")


async def test_until_a_price_is_known_calls_go_one_at_a_time() -> None:
    budget, seen = Budget(max_cost_usd=100.0), []

    async def call() -> None:
        async with budget.call("m", 10) as ticket:
            seen.append(budget._in_flight)
            await asyncio.sleep(0.001)
            if len(seen) > 1:
                ticket.settle(10, 0.1)  # the first call failed and named no price

    await asyncio.gather(*(call() for _ in range(6)))
    assert seen[:2] == [1, 1] and max(seen) > 1


async def test_an_endpoint_without_prices_cannot_be_capped_in_dollars() -> None:
    with pytest.raises(ProviderError, match=r"^engines\.max_cost_usd: m reports no cost"):
        await spend(Budget(max_cost_usd=1.0), 10, None)


async def test_a_lost_answer_counts_as_its_reservation_and_a_failed_one_as_nothing() -> None:
    budget = Budget()
    async with budget.call("m", 100) as ticket:
        ticket.lost()
    async with budget.call("m", 100):
        pass
    assert (budget.requests, budget.tokens) == (2, 100)


async def test_what_a_resumed_run_has_spent_counts() -> None:
    budget = Budget.from_settings(EngineSettings(max_requests=10))
    budget.add(requests=10, tokens=5, cost_usd=1.0)
    with pytest.raises(BudgetReached):
        await spend(budget, 1, 0.0)


async def over_http(
    budget: Budget, use: Callable[[OpenAICompatibleProvider], Awaitable[None]], *script: object
) -> int:
    async with FaultServer(list(script)) as server:  # type: ignore[arg-type]
        model = OpenAICompatibleProvider(
            "m", base_url=server.base_url, budget=budget, attempts=3, backoff_s=0.01, timeout_s=0.5
        )
        try:
            await use(model)
        finally:
            await model.close()
        return len(server.requests)


async def test_over_http_what_is_in_flight_finishes_and_is_kept() -> None:
    budget = Budget(max_requests=4)
    results: list[object] = []

    async def use(model: OpenAICompatibleProvider) -> None:
        sampling = Sampling(temperature=1.0, max_tokens=10)
        calls = [model.complete_messages(CHAT, sampling) for _ in range(10)]
        results.extend(await asyncio.gather(*calls, return_exceptions=True))

    made = await over_http(budget, use, ok("paid", after_s=0.05))
    assert made == 4
    assert sum(getattr(r, "text", "") == "paid" for r in results) == 4
    assert sum(isinstance(r, BudgetReached) for r in results) == 6
    assert budget.tokens == 4 * 10


async def test_over_http_retries_count_as_requests_and_lost_answers_as_paid() -> None:
    budget = Budget(max_requests=5)

    async def use(model: OpenAICompatibleProvider) -> None:
        sampling = Sampling(temperature=1.0, max_tokens=10)
        await model.complete_messages(CHAT, sampling)

    assert await over_http(budget, use, status(500), hang, ok()) == 3
    bound = len("hello") + 16 + 16 + 10
    assert budget.requests == 3 and budget.tokens == bound + 10
    with pytest.raises(BudgetReached):
        await over_http(budget, use, status(500))
    assert budget.requests == 5
