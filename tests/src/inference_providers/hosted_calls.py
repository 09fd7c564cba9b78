"""Calls of a hosted provider on the server of faults."""

from __future__ import annotations

from typing import Any

import pytest

from src.inference_providers.base import ChatMessage, Sampling
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.fault_server import FaultServer, Script

KEY = "sk-very-secret-0123456789"  # of the variable TEST_API_KEY
SAMPLING = Sampling(temperature=0.6, max_tokens=20, seed=5)
CHAT: list[ChatMessage] = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "2+2?"},
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", KEY)


def provider(server: FaultServer, **changes: Any) -> OpenAICompatibleProvider:
    values: dict[str, Any] = {
        "base_url": server.base_url,
        "api_key_env": "TEST_API_KEY",
        "timeout_s": 5.0,
        "attempts": 3,
        "backoff_s": 0.01,
    }
    return OpenAICompatibleProvider("some/model", **(values | changes))


async def ask(script: Script, sampling: Sampling = SAMPLING, **changes: Any) -> Any:
    """(what came of one call, the server): a completion or the exception."""
    async with FaultServer(script) as server:
        model = provider(server, **changes)
        try:
            outcome: Any = await model.complete_messages(CHAT, sampling)
        except Exception as error:
            outcome = error
        await model.close()
        await model.close()  # idempotent
        return outcome, server
