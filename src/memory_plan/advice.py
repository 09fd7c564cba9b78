"""Which settings would make a run fit: tried out in the same plan, the cheapest change first."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from config.errors import ConfigError
from config.roles import roles_of
from config.schema import TrainRLConfig
from src.memory_plan.parts import Plan
from src.vllm.spec import plan_engines

Change = Mapping[str, Any]  # setting -> value
FEWEST_TOKENS = 2048  # engines for shorter conversations are not proposed


def advice(
    cfg: TrainRLConfig, plan: Callable[[TrainRLConfig], Plan], gpus: int
) -> Mapping[str, str] | None:
    """Settings and the values that would make the run fit on `gpus` GPUs; None where nothing does.

    One change where one is enough, otherwise two.  `plan` raises ConfigError for what cannot be.
    """
    changes = list(_changes(cfg, gpus))
    pairs = ({**a, **b} for a, b in itertools.combinations(changes, 2) if not a.keys() & b.keys())
    for change in itertools.chain(changes, pairs):
        try:
            fits = plan(with_changes(cfg, change)).fits
        except ConfigError:
            continue
        if fits:
            return {setting: _typed(value) for setting, value in change.items()}
    return None


def with_changes(cfg: TrainRLConfig, change: Change) -> TrainRLConfig:
    """A copy with these settings."""
    other = copy.deepcopy(cfg)
    for setting, value in change.items():
        *groups, leaf = setting.split(".")
        target: Any = other
        for group in groups:
            target = target[group] if isinstance(target, dict) else getattr(target, group)
        setattr(target, leaf, value)
    return other


def _typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _changes(cfg: TrainRLConfig, gpus: int) -> Iterator[Change]:
    """From what costs only time to what changes the run."""
    calmer = {"always": ("phase", "turn"), "phase": ("turn",)}
    for residency in calmer.get(cfg.engines.residency, ()):
        yield {"engines.residency": residency}
    served = {name for spec in plan_engines(cfg) for name in spec.roles}
    engines = {
        f"{r.setting}.vllm": r.model.vllm for r in roles_of(cfg).values() if r.name in served
    }
    count = gpus
    while count:  # all engines alike; the most GPUs first
        yield {f"{name}.number_of_gpus_per_instance": count for name in engines}
        count //= 2
    if gpus:
        yield {"train.offload_during_rollouts": True}
    for name, vllm in engines.items():
        for times in (2, 4, 16):
            yield {f"{name}.cpu_kv_cache_gib": times * vllm.cpu_kv_cache_gib}
        hundredths = round(vllm.gpu_memory_utilization * 100)
        for share in sorted(range(5, 95, 5), key=lambda share: abs(share - hundredths)):
            yield {f"{name}.gpu_memory_utilization": share / 100}
    yield from _smaller(cfg)
    for name, vllm in engines.items():
        length = vllm.max_length // 2
        while length >= FEWEST_TOKENS:
            yield {f"{name}.max_length": length}
            length //= 2
    if not gpus:  # one process for everything
        yield {"engines.backend": "transformers"}


def _smaller(cfg: TrainRLConfig) -> Iterator[Change]:
    if not cfg.train.gradient_checkpointing:
        yield {"train.gradient_checkpointing": True}
    size = cfg.train.per_device_train_batch_size
    while size > 1:
        size //= 2
        yield {"train.per_device_train_batch_size": size}
    if not cfg.teacher_model.lora.enable:
        yield {"teacher_model.lora.enable": True}
