"""Which models are loaded into this process: one for all roles that name it alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from config.schema import EvalConfig, ModelSettings, TrainRLConfig
from src.embedded import resolve_model
from src.inference_providers.transformers_local import TransformersProvider, load_transformers


def in_process_providers(
    cfg: TrainRLConfig | EvalConfig, roles: Sequence[str]
) -> dict[str, TransformersProvider]:
    """A provider for each of these roles, none of them hosted; loaded in the order of `roles`.

    Roles share a model that they name with the same revision and dtype; it serves the longest
    context and the largest batch that one of them asks for.  Raises ConfigError naming the role's
    setting.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for role in roles:
        model = _model(cfg, role)
        alike = (model.model_name_or_path, model.revision, model.dtype, model.trust_remote_code)
        groups.setdefault((*alike, model.quantization), []).append(role)
    found: dict[str, TransformersProvider] = {}
    for first, *others in groups.values():
        provider = _load(cfg, first, others)
        found |= dict.fromkeys([first, *others], provider)
    return found


def _load(
    cfg: TrainRLConfig | EvalConfig, role: str, others: Sequence[str]
) -> TransformersProvider:
    model = _model(cfg, role)
    served = [_model(cfg, each).vllm for each in (role, *others)]
    room = replace(
        model.vllm,
        max_length=max(vllm.max_length for vllm in served),
        max_num_seqs=max(vllm.max_num_seqs for vllm in served),
    )
    setting = f"{role}_model"
    path = resolve_model(model.model_name_or_path, setting=f"{setting}.model_name_or_path")
    return load_transformers(replace(model, vllm=room), role=setting, path=path)


def _model(cfg: TrainRLConfig | EvalConfig, role: str) -> ModelSettings:
    model: ModelSettings = getattr(cfg, f"{role}_model")
    return model
