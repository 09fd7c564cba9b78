"""The adaptive limit."""

from __future__ import annotations

import asyncio

import pytest

from src.inference_providers.concurrency import AdaptiveLimit


async def test_never_more_than_the_limit_and_in_order_of_arrival() -> None:
    limit, order, most = AdaptiveLimit(3), [], 0

    async def call(i: int) -> None:
        nonlocal most
        async with limit.slot():
            order.append(i)
            most = max(most, limit.in_flight)
            await asyncio.sleep(0)

    await asyncio.gather(*(call(i) for i in range(20)))
    assert most == 3 and order == list(range(20)) and limit.in_flight == 0


def test_a_burst_of_refusals_halves_once_and_growth_is_slow() -> None:
    limit = AdaptiveLimit(16)
    for _ in range(16):  # all of them started before the first refusal
        limit.slow_down(started_in=0)
    assert limit.limit == 8
    limit.slow_down(started_in=1)
    assert limit.limit == 4
    for _ in range(4):  # a round of calls that went well: about one slot more
        limit.speed_up()
    assert 4.8 < limit.limit < 5
    for _ in range(1000):
        limit.speed_up()
    assert limit.limit == 16
    for started_in in range(2, 20):
        limit.slow_down(started_in)
    assert limit.limit == 1


async def test_cancelled_calls_leave_no_place_taken() -> None:
    limit = AdaptiveLimit(1)

    async def call() -> None:
        async with limit.slot():
            await asyncio.sleep(0.001)

    tasks = [asyncio.create_task(call()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:  # the one inside, and every other one waiting
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limit.in_flight == 0
    await asyncio.wait_for(call(), 5)


async def test_a_place_handed_over_to_a_cancelled_call_is_passed_on() -> None:
    limit, reached = AdaptiveLimit(1), []

    async def call(name: str) -> None:
        async with limit.slot():
            reached.append(name)

    async with limit.slot():
        second, third = asyncio.create_task(call("second")), asyncio.create_task(call("third"))
        await asyncio.sleep(0)
    second.cancel()  # its turn has come, but it has not run yet
    await asyncio.wait_for(asyncio.wait([second, third]), 5)
    assert reached == ["third"] and limit.in_flight == 0


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="limit of 0"):
        AdaptiveLimit(0)
