"""Opens the models that a run serves itself: engines of ours, or modules in this process.

Training, evaluation and measuring all come here, so that engines are attached to, or started, in
one place.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from config.roles import Config, roles_of
from src.inference_providers.base import Provider
from src.vllm.engines import MANIFEST_VARIABLE, EngineSet
from src.vllm.providers import providers_of
from src.vllm.residency import Residency
from src.vllm.spec import plan_engines


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModels:
    """A provider for each role that is not hosted; engines and residency where vLLM serves them."""

    providers: Mapping[str, Provider] = field(default_factory=dict)
    engines: EngineSet | None = None
    residency: Residency | None = None


def open_local_models(
    cfg: Config,
    folder: Path,
    stack: ExitStack,
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    node: int = 0,
) -> LocalModels:
    """The local models of a run's roles; `stack` stops the engines.

    `only` these roles (none named: all that take part), `without` those that somebody else plays;
    `folder` is the run's, `node` which of its nodes this is.  Engines that a launcher has started
    are attached to.  Raises ConfigError or ProviderError, one line, where one cannot be had.
    """
    roles = {
        name: role
        for name, role in roles_of(cfg).items()
        if not role.hosted and name not in without and (not only or name in only)
    }
    if not roles:
        return LocalModels()
    if cfg.engines.backend != "vllm":
        from src.inference_providers.in_process import in_process_providers  # imports torch

        return LocalModels(providers=in_process_providers(roles.values()))
    manifest = os.environ.get(MANIFEST_VARIABLE)
    if manifest:
        engines = EngineSet.attach(Path(manifest))
    else:
        specs = [spec for spec in plan_engines(cfg) if set(spec.roles) & roles.keys()]
        engines = EngineSet(specs, cfg.engines, folder, node=node)
    providers, residency = providers_of(stack.enter_context(engines))
    mine = {name: providers[name] for name in roles}
    return LocalModels(providers=mine, engines=engines, residency=residency)
