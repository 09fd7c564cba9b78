"""The key of a hosted endpoint: in no message, log or repr; missing or unusable, it is named."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from config.errors import ConfigError
from src.inference_providers.base import GaveUp, ProviderError
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.fault_server import FaultServer, cut, echo_headers, hang, ok, raw
from tests.src.inference_providers.hosted_calls import CHAT, KEY, SAMPLING, ask, key, provider

__all__ = ["key"]  # the fixture


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
