"""Residency over scripted engines that object to being used asleep or without their weights."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from src.inference_providers.base import ProviderError
from tests.src.vllm.scripted_engines import FILE, classroom, converse, enter


@pytest.mark.parametrize("kind", ["turn", "phase", "always"])
async def test_a_rollout_ends_and_nobody_is_used_asleep(kind: str) -> None:
    residency, engines, log = classroom(kind)
    for version in (1, 2):
        residency.set_weights("tutor", FILE, version)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for at in range(12):
                group.create_task(converse(residency, engines, 1 + at % 3, 0.001 * (at % 2)))
        residency.rest()
        assert residency.awake() == (engines.keys() if kind == "always" else set())
    if kind == "always":
        assert log == ["tutor loads 1", "tutor loads 2"]
    if kind == "phase":
        each = ["tutor wakes weights", "tutor loads 1", "tutor wakes kv_cache"]
        assert log[:8] == [
            "student wakes", *each, "student sleeps 1", "tutor sleeps 1", "judge wakes",
            "judge sleeps 1",
        ]  # fmt: skip
        assert log[8:] == [line.replace("loads 1", "loads 2") for line in log[:8]]


async def test_without_published_weights_the_tutor_sleeps_with_a_copy() -> None:
    residency, _, log = classroom("turn")
    for name in ("tutor", "student", "tutor"):
        async with residency.using(name):
            assert residency.awake() == {name}
    assert log == ["tutor wakes", "tutor sleeps 1", "student wakes", "student sleeps 1",
                   "tutor wakes"]  # fmt: skip


async def test_weights_are_loaded_once_a_version_however_often_their_engine_sleeps() -> None:
    """Between turns it sleeps with a copy in RAM; before training without, since new ones come."""
    residency, engines, log = classroom("turn")
    for version in (1, 2):
        log.clear()
        residency.set_weights("tutor", FILE, version)
        for name in ("tutor", "student", "tutor", "student", "tutor"):
            async with residency.using(name):
                engines[name].use()
        residency.rest()
        assert log.count(f"tutor loads {version}") == 1
        asleep = [line for line in log if line.startswith("tutor sleeps")]
        assert asleep == ["tutor sleeps 1", "tutor sleeps 1", "tutor sleeps 2"]
    async with residency.using("tutor"):  # no new ones came: the file is read again
        engines["tutor"].use()
    assert log[-3:] == ["tutor wakes weights", "tutor loads 2", "tutor wakes kv_cache"]


async def test_an_adapter_is_loaded_after_a_whole_wake_and_named_in_requests() -> None:
    residency, engines, log = classroom("phase")
    residency.specs["tutor"] = replace(residency.specs["tutor"], lora_rank=8)
    residency.set_weights("tutor", FILE, 1)
    await converse(residency, engines, 1, 0.0)
    assert (
        residency.served_model("tutor") == "tutor-1" and residency.served_model("judge") == "judge"
    )
    assert [line for line in log if "tutor" in line] == [
        "tutor wakes", "tutor adapter 1", "tutor sleeps 1",
    ]  # fmt: skip
    async with residency.using("tutor"):
        pass
    residency.set_weights("tutor", FILE, 2)
    assert log[-2:] == ["tutor adapter 2", "tutor drops tutor-1"]


async def test_new_weights_reach_an_awake_tutor_at_once_and_not_under_a_request() -> None:
    residency, _, log = classroom("phase")
    async with residency.using("tutor"):
        with pytest.raises(RuntimeError, match="requests are running"):
            residency.set_weights("tutor", FILE, 1)
    residency.set_weights("tutor", FILE, 2)
    assert log[-1] == "tutor loads 2"


async def test_a_failed_wake_reaches_everybody_who_waits_and_who_comes_later() -> None:
    residency, engines, _ = classroom("phase")
    engines["judge"].fails = True
    async with residency.using("tutor"):
        waiting = [asyncio.create_task(enter(residency, "judge")) for _ in range(3)]
        await asyncio.sleep(0)
    for task in waiting:
        with pytest.raises(ProviderError, match="judge: no memory"):
            await task
    with pytest.raises(ProviderError, match="judge: no memory"):
        await enter(residency, "student")


async def test_cancelled_requests_give_up_their_place() -> None:
    residency, _, _ = classroom("turn")
    async with residency.using("tutor"):
        waiting = asyncio.create_task(enter(residency, "judge"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        await enter(residency, "student")
    assert residency.awake() == {"student"}


def test_one_residency_serves_successive_event_loops() -> None:
    residency, engines, _ = classroom("phase")
    for _ in range(2):
        asyncio.run(converse(residency, engines, 2, 0.0))
        residency.rest()
