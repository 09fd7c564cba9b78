"""Providers of an evaluation's local models: our own vLLM servers, or transformers in-process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from config.schema import EvalConfig, ModelSettings
from src.inference_providers.base import Provider
from src.inference_providers.hosted import is_hosted
from utils.verdicts.rules import needs_judge


def classroom_roles(cfg: EvalConfig) -> list[str]:
    """The roles of a classroom that need a model."""
    return ["teacher", "student"] + (["judge"] if needs_judge(cfg.generation) else [])


def local_providers(
    cfg: EvalConfig, roles: Sequence[str], folder: Path, stack: ExitStack
) -> dict[str, Provider]:
    """A provider for each of these roles that is not hosted; `stack` stops the engines.

    Raises ConfigError or ProviderError, one line, where one cannot be had.
    """
    local = [role for role in roles if not is_hosted(_model(cfg, role))]
    if not local:
        return {}
    if cfg.engines.backend == "vllm":
        return _served(cfg, local, folder, stack)
    from src.inference_providers.in_process import in_process_providers

    return dict(in_process_providers(cfg, local))


def _model(cfg: EvalConfig, role: str) -> ModelSettings:
    model: ModelSettings = getattr(cfg, f"{role}_model")
    return model


def _served(
    cfg: EvalConfig, roles: Sequence[str], folder: Path, stack: ExitStack
) -> dict[str, Provider]:
    from src.vllm.engines import MANIFEST_VARIABLE, EngineSet
    from src.vllm.providers import providers_of
    from src.vllm.spec import plan_engines

    manifest = os.environ.get(MANIFEST_VARIABLE)  # engines that somebody else has started
    if manifest:
        engines = EngineSet.attach(Path(manifest))
    else:
        specs = [spec for spec in plan_engines(cfg) if set(spec.roles) & set(roles)]
        engines = EngineSet(specs, cfg.engines, folder)
    providers, _ = providers_of(stack.enter_context(engines))
    return {role: providers[role] for role in roles}
