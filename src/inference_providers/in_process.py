"""Which models are loaded into this process: one for all roles that name it alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from config.roles import Role
from src.embedded import resolve_model
from src.inference_providers.transformers_local import TransformersProvider, load_transformers


def in_process_providers(roles: Iterable[Role]) -> dict[str, TransformersProvider]:
    """A provider for each of these roles, none of them hosted; loaded in their order.

    Roles share a model that they name with the same revision and dtype; it serves the longest
    context and the largest batch that one of them asks for.  Raises ConfigError naming the role's
    setting.
    """
    groups: dict[tuple[object, ...], list[Role]] = {}
    for role in roles:
        model = role.model
        alike = (model.model_name_or_path, model.revision, model.dtype, model.trust_remote_code)
        groups.setdefault((*alike, model.quantization), []).append(role)
    found: dict[str, TransformersProvider] = {}
    for group in groups.values():
        provider = _load(group)
        found |= dict.fromkeys((role.name for role in group), provider)
    return found


def _load(group: Sequence[Role]) -> TransformersProvider:
    first, served = group[0], [role.model.vllm for role in group]
    room = replace(
        first.model.vllm,
        max_length=max(vllm.max_length for vllm in served),
        max_num_seqs=max(vllm.max_num_seqs for vllm in served),
    )
    path = resolve_model(
        first.model.model_name_or_path, setting=f"{first.setting}.model_name_or_path"
    )
    return load_transformers(replace(first.model, vllm=room), role=first.setting, path=path)
