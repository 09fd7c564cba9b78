"""The chat client against a real HTTP server that misbehaves."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from typing import Any

import pytest

from config.errors import ConfigError
from src.inference_providers.base import GaveUp, ProviderError, Sampling
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.fault_server import FaultServer, cut, echo_headers, hang, ok, raw, status
from tests.src.inference_providers.hosted_calls import CHAT, KEY, SAMPLING, ask, provider


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", KEY)


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


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 418, 429, 500])
async def test_the_key_is_in_no_message_log_or_repr(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error, server = await ask([echo_headers(code)])
    assert KEY in server.headers[0]["Authorization"]
    assert isinstance(error, ProviderError | GaveUp)
    shown = "".join(traceback.format_exception(error)) + caplog.text + repr(vars(error))
    assert KEY not in shown


@pytest.mark.parametrize("behaviour", [hang, cut, raw("{")])
async def test_nor_does_the_chain_of_a_broken_connection_hold_it(behaviour: Any) -> None:
    error, _ = await ask([behaviour], timeout_s=0.2, attempts=1)
    seen: list[str] = []
    while error is not None:
        seen.append(repr(error) + str(error) + repr(vars(error)))
        error = error.__context__
    assert KEY not in "".join(seen)


async def test_reprs_hold_no_key() -> None:
    async with FaultServer([ok()]) as server:
        model = provider(server)
        await model.complete_messages(CHAT, SAMPLING)
        assert KEY not in repr(model) + repr(vars(model)) + repr(model._endpoint)
        await model.close()


def test_a_missing_key_names_variable_and_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_API_KEY")
    with pytest.raises(ConfigError, match=r"^judge_model\.base_url: .*TEST_API_KEY"):
        OpenAICompatibleProvider(
            "m", base_url="http://x", api_key_env="TEST_API_KEY", setting="judge_model.base_url"
        )


@pytest.mark.parametrize("value", ["two words", "line\nend", "schl\u00fcssel"])
def test_an_unusable_key_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEST_API_KEY", value)
    with pytest.raises(ConfigError, match="TEST_API_KEY") as caught:
        OpenAICompatibleProvider("m", base_url="http://x", api_key_env="TEST_API_KEY")
    assert value not in str(caught.value)


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
