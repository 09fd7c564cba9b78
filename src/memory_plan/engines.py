"""What the engines take in each phase, on GPUs and on a CPU."""

from __future__ import annotations

from src.memory_plan.arithmetic import BYTES, ModelShape, quantization_of
from src.memory_plan.parts import Item, Phase, Plan
from src.vllm.server import GIB, PREFILL_TOKENS, CannotPlace, place_on_gpus
from src.vllm.spec import EngineSpec

# of an engine on each of its GPUs, asleep too: CUDA context, NCCL, graphs; by its number of GPUs.
# One: measured on an H200 (0.86).  More: what users of vLLM report, 2.4 to 7.4 for two, 7 for eight
ENGINE_GIB = {1: 1.0, 2: 3.0, 4: 5.0, 8: 7.0}
# torch pins memory in powers of two and keeps it: up to so many times what a sleeping engine copies
PINNED = 2.0
ENGINE_RAM_GIB = 1.0  # of a server's processes together: Python, torch, vLLM
# vLLM's --max-num-batched-tokens on GPUs of so many GiB or more
BATCHED_TOKENS = {160: 16384, 70: 8192, 0: 2048}
ON_CPU_PACKED = 2.0  # vLLM's CPU backend keeps a packed copy of each linear weight


def add_engine(plan: Plan, phase: Phase, spec: EngineSpec, shape: ModelShape, awake: bool) -> None:
    kind = quantization_of(spec.model, spec.quantization)
    weights = shape.weight_bytes(spec.dtype, kind)
    if not plan.described.gpus:
        _add_cpu_engine(plan, phase, spec, shape, weights)
        return
    setting = f"{spec.setting}.vllm.gpu_memory_utilization"
    gpus, instances = place_on_gpus(spec, plan.described.machine)
    _check_cut(spec, shape)
    whole = plan.described.gpu_bytes
    share = spec.gpu_memory_utilization * whole
    on_each = {
        "weights": weights / spec.tensor_parallel,
        "CUDA, graphs": kept_gib(spec.tensor_parallel) * GIB,
    }
    batched = next(count for least, count in BATCHED_TOKENS.items() if whole >= least * GIB)
    on_each["activations"] = _engine_activations(spec, shape, batched)
    cache = spec.kv_cache_memory_bytes or share - sum(on_each.values())
    per_token = shape.kv_bytes_per_token(spec.dtype, spec.tensor_parallel)
    tokens = max(0, int(cache // per_token))
    plan.held[spec.name] = (tokens * instances, tokens // spec.max_length * instances)
    if tokens < spec.max_length:
        needed = sum(on_each.values()) + per_token * spec.max_length
        what = f"the {spec.name} engine's weights and one whole request need"
        item = Item(what=what, size=needed, setting=setting)
        if item not in plan.too_small:
            plan.too_small.append(item)
    on_each["KV cache"] = max(0.0, cache)
    kept = on_each if awake else {"asleep": kept_gib(spec.tensor_parallel) * GIB}
    for gpu in gpus:
        phase.gpus[int(gpu)] += [
            Item(what=f"{spec.name} {what}", size=size, setting=setting)
            for what, size in kept.items()
        ]
    _add_ram(phase, spec, "processes", ENGINE_RAM_GIB * GIB * len(gpus))
    if spec.sleeps and not awake:  # the tutor too: between turns, and until its first new weights
        _add_ram(phase, spec, "asleep in RAM", PINNED * weights * instances)
    _add_published(plan, phase, spec, shape)


def kept_gib(tensor_parallel: int) -> float:
    """GiB of each GPU that an engine never gives back."""
    return next((g for most, g in ENGINE_GIB.items() if tensor_parallel <= most), ENGINE_GIB[8])


def _check_cut(spec: EngineSpec, shape: ModelShape) -> None:
    """vLLM shares out whole attention heads; key/value heads may stand on several GPUs."""
    few, many = sorted((spec.tensor_parallel, shape.kv_heads))
    if shape.heads % spec.tensor_parallel or many % few:
        raise CannotPlace(
            f"{spec.setting}.vllm.number_of_gpus_per_instance: {spec.tensor_parallel} GPUs "
            f"cannot share {shape.heads} attention heads and {shape.kv_heads} of keys"
        )


def _engine_activations(spec: EngineSpec, shape: ModelShape, tokens: int) -> float:
    """Of `tokens` in one step, and the logits that are sampled from: what vLLM's profiling run
    takes; an estimate."""
    each = BYTES[shape.dtype if spec.dtype == "auto" else spec.dtype]
    widest = 2 * shape.intermediate // spec.tensor_parallel + 4 * shape.hidden
    logits = 2 * 4 * spec.max_num_seqs * shape.vocabulary
    return float(each * tokens * widest + logits)


def _add_cpu_engine(
    plan: Plan, phase: Phase, spec: EngineSpec, shape: ModelShape, weights: float
) -> None:
    """On a CPU sleep gives nothing back."""
    cache = spec.kv_cache_memory_bytes or spec.cpu_kv_cache_gib * GIB
    tokens = int(cache // shape.kv_bytes_per_token(spec.dtype))
    plan.held[spec.name] = (tokens, tokens // spec.max_length)
    if tokens < spec.max_length:
        item = Item(
            what=f"the {spec.name} engine's KV cache for one whole request needs",
            size=shape.kv_bytes_per_token(spec.dtype) * spec.max_length,
            setting=f"{spec.setting}.vllm.cpu_kv_cache_gib",
        )
        if item not in plan.too_small:
            plan.too_small.append(item)
    batched = max(spec.max_length, spec.max_num_seqs, PREFILL_TOKENS)
    for what, size in {
        "weights": weights * ON_CPU_PACKED,
        "KV cache": cache,
        "activations": _engine_activations(spec, shape, batched),
        "process": ENGINE_RAM_GIB * GIB,
    }.items():
        _add_ram(phase, spec, what, size)
    _add_published(plan, phase, spec, shape)


def _add_published(plan: Plan, phase: Phase, spec: EngineSpec, shape: ModelShape) -> None:
    """The file of new weights, and for a moment the one before it; on disk they take no RAM."""
    if not spec.updatable or not plan.weights_in_ram:
        return
    if spec.lora_rank:
        size = 4.0 * shape.lora_parameters(spec.lora_rank)  # adapters are trained in float32
    else:
        size = shape.weight_bytes(plan.trained_dtype)
    _add_ram(phase, spec, "published weights", 2 * size)


def _add_ram(phase: Phase, spec: EngineSpec, what: str, size: float) -> None:
    setting = {"published weights": "engines.weights_dir", "asleep in RAM": "engines.residency"}
    other = f"{spec.setting}.model_name_or_path"
    phase.ram.append(Item(what=f"{spec.name} {what}", size=size, setting=setting.get(what, other)))
