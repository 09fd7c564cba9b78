"""Presets of hosted models."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from config.roles import is_hosted
from config.schema import EngineSettings, ModelSettings
from src.inference_providers.base import ChatMessage, Sampling
from src.inference_providers.budget import Budget
from src.inference_providers.hosted import hosted_provider
from tests.fault_server import FaultServer, ok

KEYS = {"use_openrouter": "OPENROUTER_API_KEY", "use_gemini": "GEMINI_API_KEY"}
CHAT: list[ChatMessage] = [{"role": "user", "content": "hello"}]


def settings(**changes: object) -> ModelSettings:
    return ModelSettings(model_name_or_path="maker/model", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("flag", KEYS)
def test_a_preset_without_its_key_names_variable_and_setting(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEYS[flag], raising=False)
    with pytest.raises(ConfigError, match=rf"^judge_model\.{flag}: .*{KEYS[flag]}"):
        hosted_provider(settings(**{flag: True}), EngineSettings(), role="judge_model")


def test_presets_take_their_caps_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-abc")
    engines = EngineSettings(max_requests=9, max_concurrent_requests=4)
    model = hosted_provider(settings(use_openrouter=True), engines)
    assert model.name == "maker/model" and not model.gives_tokens
    assert model.budget.max_requests == 9 and model.limit.ceiling == 4
    shared = Budget()
    assert hosted_provider(settings(use_openrouter=True), engines, budget=shared).budget is shared


def test_dollars_cannot_be_capped_where_none_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "abc")
    with pytest.raises(ConfigError, match=r"^engines\.max_cost_usd: student_model\.use_gemini"):
        hosted_provider(
            settings(use_gemini=True), EngineSettings(max_cost_usd=1.0), role="student_model"
        )


@pytest.mark.parametrize(
    "changes",
    [{}, {"use_gemini": True, "use_openrouter": True}, {"use_gemini": True, "base_url": "x"}],
)
def test_exactly_one_endpoint(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^model\.base_url: set exactly one"):
        hosted_provider(settings(**changes), EngineSettings())


def test_what_is_hosted() -> None:
    assert [is_hosted(settings(**c)) for c in ({}, {"use_gemini": True}, {"base_url": "x"})] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("key", [None, "sk-own"])
async def test_any_other_endpoint_with_or_without_a_key(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key:
        monkeypatch.setenv("OWN_KEY", key)
    async with FaultServer([ok("yes")]) as server:
        model = hosted_provider(
            settings(base_url=server.base_url, api_key_env="OWN_KEY" if key else None),
            EngineSettings(),
        )
        answer = await model.complete_messages(CHAT, Sampling(temperature=0.0, max_tokens=3))
        await model.close()
    assert answer.text == "yes"
    assert server.headers[0].get("Authorization") == (f"Bearer {key}" if key else None)
