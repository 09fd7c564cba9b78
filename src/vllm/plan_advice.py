"""Which one setting would make a run fit: tried out, the cheapest change first."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.vllm.plan_parts import Plan

ROLES = ("teacher", "student", "judge")


def advice(cfg: TrainRLConfig, plan: Callable[[TrainRLConfig], Plan]) -> tuple[str, str] | None:
    """The setting to change and how it would be typed; None where no single change is enough."""
    for setting, value in _candidates(cfg):
        other = copy.deepcopy(cfg)
        *groups, leaf = setting.split(".")
        target = other
        for group in groups:
            target = getattr(target, group)
        setattr(target, leaf, value)
        try:
            fits = plan(other).fits
        except ConfigError:
            continue
        if fits:
            shown = str(value).lower() if isinstance(value, bool) else value
            return setting, f"{setting}={shown}"
    return None


def _candidates(cfg: TrainRLConfig) -> Iterator[tuple[str, object]]:
    for residency in {"always": ("phase", "turn"), "phase": ("turn",)}.get(
        cfg.engines.residency, ()
    ):
        yield "engines.residency", residency
    for role in ROLES:
        vllm = getattr(cfg, f"{role}_model").vllm
        yield f"{role}_model.vllm.cpu_kv_cache_gib", 2 * vllm.cpu_kv_cache_gib
        hundredths = round(vllm.gpu_memory_utilization * 100)
        nearest = sorted(range(5, 95, 5), key=lambda share: abs(share - hundredths))
        for share in nearest:
            yield f"{role}_model.vllm.gpu_memory_utilization", share / 100
    if not cfg.train.gradient_checkpointing:
        yield "train.gradient_checkpointing", True
    size = cfg.train.per_device_train_batch_size
    while size > 1:
        size //= 2
        yield "train.per_device_train_batch_size", size
    if not cfg.teacher_model.lora.enable:
        yield "teacher_model.lora.enable", True
