"""Presets of hosted models: which endpoint, which key, from a role's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.errors import ConfigError
from config.roles import HOSTS
from config.schema import EngineSettings, ModelSettings
from src.inference_providers.budget import Budget
from src.inference_providers.openai_compatible import OpenAICompatibleProvider

DEFAULT_CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Preset:
    """An endpoint that users choose by a flag."""

    flag: str
    base_url: str
    api_key_env: str
    reports_cost: bool
    extra_body: Mapping[str, Any] = field(default_factory=dict)


PRESETS = (
    Preset(
        flag="use_openrouter",
        base_url="https://openrouter.ai/api/v1",
        api_key_env="OPENROUTER_API_KEY",
        reports_cost=True,
        extra_body={"usage": {"include": True}},
    ),
    Preset(
        flag="use_gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        api_key_env="GEMINI_API_KEY",
        reports_cost=False,
    ),
)


def hosted_provider(
    model: ModelSettings,
    engines: EngineSettings,
    *,
    role: str = "model",
    budget: Budget | None = None,
) -> OpenAICompatibleProvider:
    """The provider for a hosted role.

    `role` is the settings' key (`judge_model`), for errors; `budget` is the run's own, shared by
    its roles (none: this role gets the caps for itself).  Raises ConfigError naming setting and
    variable.
    """
    chosen = [preset for preset in PRESETS if getattr(model, preset.flag)]
    if len(chosen) + (model.base_url is not None) != 1:
        raise ConfigError(f"{role}.base_url: set exactly one of {', '.join(HOSTS)}")
    preset = chosen[0] if chosen else None
    if preset and not preset.reports_cost and engines.max_cost_usd:
        raise ConfigError(
            f"engines.max_cost_usd: {role}.{preset.flag} reports no cost; "
            "cap engines.max_tokens or engines.max_requests instead"
        )
    return OpenAICompatibleProvider(
        model.model_name_or_path,
        base_url=preset.base_url if preset else str(model.base_url),
        api_key_env=model.api_key_env or (preset.api_key_env if preset else None),
        timeout_s=engines.request_timeout_s,
        max_concurrent=engines.max_concurrent_requests or DEFAULT_CONCURRENCY,
        budget=budget or Budget.from_settings(engines),
        extra_body=preset.extra_body if preset else None,
        setting=f"{role}.{preset.flag if preset else 'base_url'}",
    )
