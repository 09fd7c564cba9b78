"""Which engines a config needs: roles become a short list of servers, without starting anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from config.roles import Phase, Role, roles_of
from config.schema import EvalConfig, TrainRLConfig, TutorSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One vLLM server: what it serves, to whom, and what it may take of the machine.

    `model` is a hub id, a folder or an `embedded:` name, not yet resolved.  `updatable` engines
    are given new weights while they run.  `sleeps` is false for an engine that always stays awake.
    """

    name: str  # of sockets, logs and the served model; letters, digits and dashes
    model: str
    roles: tuple[str, ...]
    setting: str = "model"  # the first role's key, for errors
    phases: frozenset[Phase] = frozenset()  # when its roles are asked
    revision: str | None = None
    dtype: str = "auto"
    quantization: str | None = None
    trust_remote_code: bool = False
    updatable: bool = False
    lora_rank: int = 0  # 0: whole weights are handed over; otherwise adapters up to this rank
    sleeps: bool = True
    max_length: int = 8192
    max_num_seqs: int = 256
    gpu_memory_utilization: float = 0.5
    tensor_parallel: int = 1  # GPUs an instance
    data_parallel: int = -1  # instances; -1: as many as the GPUs hold
    from_0: bool = True
    enforce_eager: bool = False
    kv_cache_memory_bytes: int | None = None
    cpu_kv_cache_gib: float = 1.0
    extra_args: tuple[tuple[str, str], ...] = ()
    fault: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"phases": sorted(self.phases)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EngineSpec:
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        values["roles"], values["phases"] = tuple(values["roles"]), frozenset(values["phases"])
        values["extra_args"] = tuple((k, v) for k, v in values["extra_args"])
        return cls(**values)


def plan_engines(cfg: TrainRLConfig | EvalConfig) -> list[EngineSpec]:
    """The engines of a run, the tutor's first.

    Roles that name the same model with compatible settings share an engine; the tutor under
    training has its own, since its weights change.  Hosted roles and judges that nobody asks have
    none, and no role has one with the in-process backend.
    """
    if cfg.engines.backend != "vllm":
        return []
    engines: list[EngineSpec] = []
    for role in roles_of(cfg).values():
        if role.hosted:
            continue
        wanted = _spec_of(role, cfg)
        for at, engine in enumerate(engines):
            if _can_share(engine, wanted):
                engines[at] = _merged(engine, wanted)
                break
        else:
            engines.append(wanted)
    return engines


def _spec_of(role: Role, cfg: TrainRLConfig | EvalConfig) -> EngineSpec:
    model, vllm = role.model, role.model.vllm
    may_sleep = vllm.load_and_unload and vllm.enable_sleep_mode
    training = isinstance(cfg, TrainRLConfig) and not cfg.train.collect_only
    trained = role.name == "teacher" and training
    lora = model.lora if isinstance(model, TutorSettings) else None
    return EngineSpec(
        name=role.name,
        model=model.model_name_or_path,
        roles=(role.name,),
        setting=role.setting,
        phases=role.phases,
        revision=model.revision,
        dtype=model.dtype,
        quantization=model.quantization,
        trust_remote_code=model.trust_remote_code,
        updatable=trained,
        lora_rank=lora.rank if trained and lora is not None and lora.enable else 0,
        sleeps=may_sleep and cfg.engines.residency != "always",
        max_length=vllm.max_length,
        max_num_seqs=vllm.max_num_seqs,
        gpu_memory_utilization=vllm.gpu_memory_utilization,
        tensor_parallel=vllm.number_of_gpus_per_instance,
        data_parallel=vllm.max_number_of_instances,
        from_0=vllm.from_0,
        enforce_eager=vllm.enforce_eager,
        kv_cache_memory_bytes=vllm.kv_cache_memory_bytes,
        cpu_kv_cache_gib=vllm.cpu_kv_cache_gib,
        extra_args=tuple(sorted((str(k), str(v)) for k, v in vllm.extra_args.items())),
        fault=cfg.engines.fault,
    )


# What must be equal for two roles to share a server; the rest is merged to the larger need.
_SAME = (
    "model",
    "revision",
    "dtype",
    "quantization",
    "trust_remote_code",
    "tensor_parallel",
    "data_parallel",
    "from_0",
    "enforce_eager",
    "extra_args",
)


def _can_share(engine: EngineSpec, wanted: EngineSpec) -> bool:
    if engine.updatable or wanted.updatable:
        return False
    return all(getattr(engine, key) == getattr(wanted, key) for key in _SAME)


def _merged(engine: EngineSpec, wanted: EngineSpec) -> EngineSpec:
    """One engine for both: the longer context, the larger shares, asleep only if both allow it."""
    caches = [b for b in (engine.kv_cache_memory_bytes, wanted.kv_cache_memory_bytes) if b]
    return replace(
        engine,
        name=f"{engine.name}-{wanted.name}",
        roles=engine.roles + wanted.roles,
        phases=engine.phases | wanted.phases,
        sleeps=engine.sleeps and wanted.sleeps,
        max_length=max(engine.max_length, wanted.max_length),
        max_num_seqs=max(engine.max_num_seqs, wanted.max_num_seqs),
        gpu_memory_utilization=max(engine.gpu_memory_utilization, wanted.gpu_memory_utilization),
        cpu_kv_cache_gib=max(engine.cpu_kv_cache_gib, wanted.cpu_kv_cache_gib),
        kv_cache_memory_bytes=max(caches) if caches else None,
    )
