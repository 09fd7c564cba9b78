"""Small engines for tests, and what transformers computes with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.vllm.engines import EngineSet
from src.vllm.spec import EngineSpec


def engine_spec(role: str, model: Path, **changes: Any) -> EngineSpec:
    phases = frozenset({"judging"} if role == "judge" else {"turns"})
    small = {"max_length": 512, "cpu_kv_cache_gib": 0.1, "dtype": "float32", "phases": phases}
    values: dict[str, Any] = small | changes
    return EngineSpec(name=role, model=str(model), roles=(role,), **values)


def transformers_model(engines: EngineSet, role: str, moved_by: int | None = None) -> Any:
    """The model of an engine's checkpoint; all weights moved if a seed is given."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = engines.engines[role].spec.model
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if moved_by is not None:
        torch.manual_seed(moved_by)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def logprobs_by(model: Any, ids: list[int], temperature: float = 1.0) -> list[float]:
    import torch

    with torch.no_grad():
        rows = (model(torch.tensor([ids])).logits[0] / temperature).log_softmax(-1)
    return [rows[at, token].item() for at, token in enumerate(ids[1:])]


def gap(one: Any, other: Any) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
