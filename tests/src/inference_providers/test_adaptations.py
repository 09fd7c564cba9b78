"""Fields that an endpoint refuses give way once, or end the run; a refused prompt does neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.errors import ConfigError
from src.inference_providers.base import GaveUp, ProviderError, Sampling
from src.inference_providers.budget import Budget
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.fault_server import FaultServer, Script, ok, raw, status
from tests.src.inference_providers.hosted_calls import CHAT, SAMPLING, ask, key, provider

__all__ = ["key"]  # the fixture


def refuses(message: str, unless: Callable[[dict[str, Any]], bool], **error: Any) -> Script:
    """An endpoint that refuses a request until it is as it wants it."""
    return lambda number, body: ok("fine") if unless(body) else status(400, message, **error)


def without(*fields: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: not set(fields) & set(body)


def no_system(body: dict[str, Any]) -> bool:
    return all(m["role"] != "system" for m in body["messages"])


WITH_TOP_P = Sampling(temperature=0.6, max_tokens=20, top_p=0.9)
ADAPTED = {
    "by its param": (
        refuses("not with this model", without("max_tokens"), param="max_tokens"),
        "sends max_completion_tokens instead of max_tokens",
    ),
    "by its name": (
        refuses("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.",
                without("max_tokens")),
        "sends max_completion_tokens instead of max_tokens",
    ),
    "a value": (
        refuses("Only the default (1) value is supported.", without("temperature"),
                param="temperature"),
        "goes on without temperature",
    ),
    "one of two": (
        refuses("`temperature` and `top_p` cannot both be specified", without("top_p")),
        "goes on without top_p",
    ),
    "both of two": (
        refuses("takes neither temperature nor top_p", without("top_p", "temperature")),
        "goes on without temperature",
    ),
    "the system role by a template": (
        refuses("System role not supported", no_system),
        "puts the system text into the first user message",
    ),
    "the system role by its place": (
        refuses("Unsupported value: 'messages[0].role' does not support 'system'", no_system,
                param="messages[0].role"),
        "puts the system text into the first user message",
    ),
    "the system role by those there are": (
        refuses("Only user, assistant and tool roles are supported, got system.", no_system),
        "puts the system text into the first user message",
    ),
    "the system role by the order": (
        refuses("Conversation roles must alternate user/assistant/user/...", no_system),
        "puts the system text into the first user message",
    ),
    "the system role by its values": (
        refuses("Input should be 'user' or 'assistant'", no_system, param="messages.0.role"),
        "puts the system text into the first user message",
    ),
    "an extra field": (
        refuses("Unrecognized request argument supplied: 'usage'", without("usage")),
        "goes on without usage",
    ),
    "as a list of faults": (
        lambda number, body: ok("fine") if "top_p" not in body else raw(
            '{"detail": [{"loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"}]}', 422
        ),
        "goes on without top_p",
    ),
    "behind a gateway": (
        refuses("Provider returned error", without("top_p"),
                metadata={"raw": '{"error": {"message": "top_p is not supported"}}'}),
        "goes on without top_p",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTED)
async def test_a_refused_field_gives_way_once_and_for_all(name: str) -> None:
    script, note = ADAPTED[name]
    async with FaultServer(script) as server:
        model = provider(server, setting="judge_model.base_url", extra_body={"usage": {"a": 1}})
        for _ in range(3):
            assert (await model.complete_messages(CHAT, WITH_TOP_P)).text == "fine"
        await model.close()
    assert len(server.requests) == 3 + len(model.notes) <= 5
    assert model.notes[-1].startswith(f"judge_model (some/model): {note}")
    said = "".join(m["content"] for m in server.requests[-1]["messages"])
    assert "be kind" in said and "2+2?" in said
    limits = {"max_tokens", "max_completion_tokens"} & set(server.requests[-1])
    assert [server.requests[-1][name] for name in limits] == [20]


async def test_the_budget_knows_the_token_limit_by_its_other_name() -> None:
    script = refuses("no max_tokens here", without("max_tokens"))
    budget = Budget(max_tokens=10_000)
    completion, _ = await ask(script, budget=budget)
    assert completion.text == "fine" and budget.tokens == 10


STUCK = {
    "a needed field": ({"param": "model"}, "bad name", "model='some/model'"),
    "a limit": ({}, "max_tokens is too large: at most 10", "max_tokens=20"),
    "a lower limit": ({}, "max_tokens: 20 is below the minimum of 1024", "max_tokens=20"),
}


@pytest.mark.parametrize("name", STUCK)
async def test_a_refusal_that_cannot_be_adapted_ends_the_run_at_once(name: str) -> None:
    error_fields, message, what = STUCK[name]
    error, server = await ask(
        [status(400, message, **error_fields)], setting="judge_model.base_url"
    )
    assert isinstance(error, ProviderError) and len(server.requests) == 1
    assert str(error) == (f"judge_model (some/model): 400, the endpoint refuses {what}: {message}")


async def test_a_field_that_is_refused_under_both_names_ends_the_run() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return status(400, f"unknown field '{name}'", param=name)

    error, server = await ask(script)
    assert isinstance(error, ProviderError) and "refuses max_completion_tokens=20" in str(error)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens; you asked for 9000 (max_tokens 50).",
        "max_tokens is too large: the context window holds 40 and the prompt has 30",
        "The response was filtered: the prompt broke the content management policy",
        "messages.1: too long",
    ],
)
async def test_what_is_about_this_prompt_changes_no_field(message: str) -> None:
    error, server = await ask([status(400, message)])
    assert isinstance(error, GaveUp) and len(server.requests) == 1


@pytest.mark.parametrize("path", ["", "/"])
async def test_an_address_without_its_version_is_said(path: str) -> None:
    async with FaultServer([ok()]) as server:
        base_url = server.base_url.removesuffix("/v1") + path
        model = provider(server, base_url=base_url, setting="judge_model.base_url")
        with pytest.raises(ProviderError, match=rf"404.*try base_url={server.base_url}$"):
            await model.complete_messages(CHAT, SAMPLING)
        await model.close()


def test_an_address_is_given_without_what_is_added_to_it() -> None:
    with pytest.raises(ConfigError, match=r"^base_url: must end before /chat/completions"):
        OpenAICompatibleProvider("m", base_url="http://x/v1/chat/completions")


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "max_tokens", "length", "model_length"])
async def test_every_name_of_a_cut_answer(reason: str) -> None:
    completion, _ = await ask([ok("cu", finish_reason=reason)])
    assert completion.stop_reason == "length"


async def test_an_answer_that_was_all_thinking_is_said_once() -> None:
    thought = raw(
        '{"choices": [{"message": {"content": "", "reasoning_content": "hm"}, '
        '"finish_reason": "length"}], "usage": {"completion_tokens": 20}}'
    )
    async with FaultServer([thought]) as server:
        model = provider(server)
        for _ in range(2):
            completion = await model.complete_messages(CHAT, SAMPLING)
            assert (completion.text, completion.stop_reason) == ("", "length")
        await model.close()
    assert len(model.notes) == 1 and "an answer of 20 tokens had no words" in model.notes[0]


async def test_separate_thinking_is_no_part_of_an_answer() -> None:
    body = (
        '{"choices": [{"message": {"reasoning": "56", "reasoning_content": "56", "content": '
        '[{"type": "thinking", "thinking": "56"}, {"type": "text", "text": "What is it?"}]}}]}'
    )
    completion, _ = await ask([raw(body)])
    assert completion.text == "What is it?"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ('{"code": "429"}', GaveUp),
        ('{"status": "RESOURCE_EXHAUSTED"}', GaveUp),
        ('{"type": "insufficient_quota"}', ProviderError),
        ('{"type": "authentication_error"}', ProviderError),
        ('{"code": "model_not_found"}', ProviderError),
    ],
)
async def test_a_status_inside_a_good_answer_may_be_a_word(error: str, kind: type) -> None:
    outcome, server = await ask([raw(f'{{"error": {error}}}')])
    assert type(outcome) is kind
    assert len(server.requests) == (3 if kind is GaveUp else 1)
