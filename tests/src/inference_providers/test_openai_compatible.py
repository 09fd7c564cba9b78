"""The chat client against a real HTTP server: requests as documented, answers as they come."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from config.errors import ConfigError
from src.inference_providers.base import ProviderError, Sampling
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.fault_server import FaultServer, ok, raw, status
from tests.src.inference_providers.hosted_calls import CHAT, KEY, SAMPLING, ask, key, provider

__all__ = ["key"]  # the fixture


async def test_a_good_answer_is_read_and_the_request_is_as_documented() -> None:
    completion, server = await ask([ok("four", finish_reason="length", cost=0.25)])
    assert completion.text == "four" and completion.stop_reason == "length"
    assert (completion.prompt_tokens, completion.completion_tokens) == (7, 3)
    assert completion.cost_usd == 0.25
    assert completion.token_ids is None and completion.logprobs is None
    assert server.requests == [
        {
            "model": "some/model",
            "messages": CHAT,
            "temperature": 0.6,
            "top_p": 1.0,
            "max_tokens": 20,
            "seed": 5,
        }
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_odd_but_whole_answers_are_read() -> None:
    body = '{"choices": [{"message": {"content": "four \\ud800"}}], "usage": {"cost": NaN}}'
    completion, _ = await ask([raw(body)])
    assert (completion.text, completion.cost_usd) == ("four \ufffd", 0.0)
    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)


SCHEMA = {"type": "object", "properties": {"decision": {"enum": ["OK", "REJECT"]}}}
WITH_SCHEMA = Sampling(temperature=0.0, max_tokens=20, seed=1, top_k=50, json_schema=SCHEMA)


async def test_a_schema_is_sent_as_response_format() -> None:
    _, server = await ask([ok()], WITH_SCHEMA)
    wanted = {"name": "answer", "strict": True, "schema": SCHEMA}
    assert server.requests[0]["response_format"] == {"type": "json_schema", "json_schema": wanted}


async def test_refused_optional_fields_are_dropped_remembered_and_noted_once() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        if "response_format" in body:
            return status(400, "This model does not support response_format")
        if "top_k" in body or "seed" in body:  # as Gemini says it
            text = 'Unknown name "top_k": Cannot find field. Unknown name "seed": no such field.'
            return status(400, text)
        return ok("plain")

    async with FaultServer(script) as server:
        model = provider(server)
        for _ in range(3):
            assert (await model.complete_messages(CHAT, WITH_SCHEMA)).text == "plain"
        await model.close()
    assert len(server.requests) == 3 + 2
    assert set(server.requests[-1]) == {"model", "messages", "temperature", "top_p", "max_tokens"}
    assert len(model.notes) == 2 and "response_format" in model.notes[0]


async def test_the_cost_of_answers_without_content_is_counted() -> None:
    completion, _ = await ask([ok(None, cost=0.5), ok("x", cost=0.25)])
    assert completion.cost_usd == 0.75


@pytest.mark.parametrize("url", ["ftp://x", "x", "unix://", "https://u:p@x/v1", "https://x?key=1"])
def test_a_bad_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^base_url: must"):
        OpenAICompatibleProvider("m", base_url=url)


async def test_an_endpoint_that_was_never_there_ends_the_run() -> None:
    with socket.socket() as closed:  # bound, never listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        model = OpenAICompatibleProvider("m", base_url=url, attempts=2, backoff_s=0.01)
        with pytest.raises(ProviderError, match=f"cannot reach {url}"):
            await model.complete_messages(CHAT, SAMPLING)
        await model.close()


async def test_token_ids_are_not_for_chat_endpoints() -> None:
    model = OpenAICompatibleProvider("m", base_url="http://x")
    assert not model.gives_tokens
    with pytest.raises(ProviderError, match="takes messages"):
        await model.complete_tokens([1], SAMPLING)


def test_a_provider_outlives_an_event_loop() -> None:
    """A trainer runs each rollout in an event loop of its own."""
    model: list[OpenAICompatibleProvider] = []

    async def rollout() -> str:
        async with FaultServer([ok("fine")]) as server:
            model[:] = model or [provider(server)]
            model[0]._url = server.base_url + "/chat/completions"
            answers = await asyncio.gather(
                *(model[0].complete_messages(CHAT, SAMPLING) for _ in range(50))
            )
            return answers[-1].text

    assert [asyncio.run(rollout()) for _ in range(3)] == ["fine"] * 3
    assert model[0].limit.in_flight == 0
    asyncio.run(model[0].close())
