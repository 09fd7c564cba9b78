"""The chat client against a real HTTP server that misbehaves: what is tried again, how often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from src.inference_providers.base import GaveUp, ProviderError, Sampling
from tests.fault_server import FaultServer, cut, hang, ok, raw, status
from tests.src.inference_providers.hosted_calls import CHAT, SAMPLING, ask, key, provider

__all__ = ["key"]  # the fixture


FAULTS = {
    "429": status(429),
    "500": status(500),
    "503": status(503),
    "408": status(408),
    "hang": hang,
    "cut": cut,
    "null": ok(None),
    "not json": raw("<html>bad gateway</html>"),
    "no choices": raw('{"choices": []}'),
    "a list": raw("[1]"),
    "502 inside a 200": raw('{"error": {"code": 502, "message": "upstream"}}'),
    "error inside a choice": raw(
        '{"choices": [{"error": {"message": "died"}, "message": {"content": "ha"}}]}'
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_passing_fault_is_retried_once_and_forgotten(name: str) -> None:
    timeout = 1.0 if name == "hang" else 5.0
    completion, server = await ask([FAULTS[name], ok("four")], timeout_s=timeout)
    assert completion.text == "four"
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", FAULTS)
async def test_a_lasting_fault_gives_up_after_the_bound(name: str) -> None:
    timeout = 1.0 if name == "hang" else 5.0
    error, server = await ask([FAULTS[name]], timeout_s=timeout, attempts=3)
    assert isinstance(error, GaveUp)
    assert "some/model: gave up after 3 requests" in str(error)
    assert len(server.requests) == 3


async def test_time_outs_are_bounded_by_patience_before_the_attempts_are_used_up() -> None:
    error, server = await ask([hang], timeout_s=1.0, attempts=50)
    assert isinstance(error, GaveUp) and "no answer within 1 s" in str(error)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (status(401), "401, the key was refused (TEST_API_KEY)"),
        (status(402), "402, no credit is left on the key (TEST_API_KEY)"),
        (status(403), "403, the key (TEST_API_KEY) has no access"),
        (status(404), "some/model: 404, no such model at http://127.0.0.1"),
        (status(429, code="insufficient_quota"), "no credit is left on the key (TEST_API_KEY)"),
        (
            raw('[{"error": {"code": 400, "message": "API key not valid. Pass another."}}]', 400),
            "400, the key was refused (TEST_API_KEY)",
        ),
        (raw('{"error": {"code": 401, "message": "x"}}'), "401, the key was refused"),
        (status(302), "unexpected status 302"),
    ],
)
async def test_what_cannot_pass_ends_the_run_after_one_request(behaviour: Any, says: str) -> None:
    error, server = await ask([behaviour])
    assert isinstance(error, ProviderError)
    assert says in str(error) and "\n" not in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        status(400, "maximum context length is 8192"),
        status(403, "flagged", metadata={"reasons": ["violence"], "flagged_input": "…"}),
    ],
)
async def test_a_refused_prompt_loses_the_conversation_not_the_run(behaviour: Any) -> None:
    error, server = await ask([behaviour])
    assert isinstance(error, GaveUp) and len(server.requests) == 1


async def test_of_n_samples_only_the_failed_one_is_retried() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        return status(500) if number == 3 else ok(f"seed {body['seed']}")

    async with FaultServer(script) as server:
        model = provider(server)
        samplings = [Sampling(temperature=1.0, max_tokens=5, seed=s) for s in range(8)]
        answers = await asyncio.gather(*(model.complete_messages(CHAT, s) for s in samplings))
        await model.close()
    assert [a.text for a in answers] == [f"seed {s}" for s in range(8)]
    seeds = sorted(body["seed"] for body in server.requests)
    assert len(seeds) == 9 and sorted(set(seeds)) == list(range(8))


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_honoured_by_who_was_refused(code: int) -> None:
    completion, server = await ask([status(code, retry_after="1"), ok("four")])
    assert completion.text == "four"
    assert server.times[1] - server.times[0] >= 0.99


async def test_retry_after_is_honoured_by_everyone() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        return status(429, retry_after="1") if number == 0 else ok()

    async with FaultServer(script) as server:
        model = provider(server, max_concurrent=1)
        await asyncio.gather(*(model.complete_messages(CHAT, SAMPLING) for _ in range(3)))
        await model.close()
    assert len(server.requests) == 4
    assert server.times[1] - server.times[0] >= 0.99


@pytest.mark.parametrize(
    "behaviour",
    [
        status(429, retry_after="3600"),
        status(429, retry_after="Fri, 31 Dec 2999 23:59:59 GMT"),
        status(429, details=[{"@type": "RetryInfo", "retryDelay": "7200s"}]),
    ],
)
async def test_an_endless_retry_after_is_not_waited_for(behaviour: Any) -> None:
    error, server = await ask([behaviour])
    assert isinstance(error, GaveUp) and len(server.requests) == 1


async def test_concurrency_backs_off_on_429_and_grows_back() -> None:
    refuse = True

    def script(number: int, body: dict[str, Any]) -> Any:
        return status(429) if refuse and model.limit.in_flight > 4 else ok(after_s=0.01)

    async with FaultServer(script) as server:
        model = provider(server, max_concurrent=16, attempts=50)

        async def many(n: int) -> None:
            await asyncio.gather(*(model.complete_messages(CHAT, SAMPLING) for _ in range(n)))

        await many(60)
        backed_off = model.limit.limit
        assert backed_off < 8
        refuse = False
        await many(200)
        assert backed_off < model.limit.limit <= 16
        await model.close()
