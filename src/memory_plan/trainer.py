"""What the trainer's ranks take in each phase."""

from __future__ import annotations

from collections.abc import Mapping

from config.roles import Role, roles_of
from config.schema import TrainRLConfig
from src.memory_plan.arithmetic import ModelShape, Sharding, at_rest, offloaded, trainer_state
from src.memory_plan.parts import Item, Phase, Training, shape_of
from src.vllm.server import GIB

TRAINER_GIB = 1.5  # of a rank on its GPU: CUDA context, NCCL, cuBLAS
RANK_RAM_GIB = 1.0  # of one process: Python, torch, transformers


def add_trainer(cfg: TrainRLConfig, phase: Phase, training: Training) -> None:
    """On each rank's GPU, or all of them in RAM; activations only while it trains."""
    if cfg.train.collect_only:
        return
    on_gpu, in_ram = _where(cfg, training, phase.name == "training")
    in_ram["process"] = RANK_RAM_GIB * GIB
    for rank in range(training.local_ranks):
        if on_gpu:
            phase.gpus[rank].extend(_items(on_gpu))
        phase.ram.extend(_items(in_ram))
    _add_in_process(cfg, phase, training)


def _where(
    cfg: TrainRLConfig, training: Training, works: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes of a rank on its GPU and in RAM, while it works or rests."""
    state = rank_state(cfg, training)
    now = state | _activations(cfg, training) if works else at_rest(state, training.zero)
    if training.on_cpu:
        return {}, now
    always = _in_ram(training.zero)
    moved = set()
    if cfg.train.offload_during_rollouts:
        moved = offloaded(training.zero, cfg.train.optimizer) - always
    away = always if works else always | moved
    on_gpu = {what: size for what, size in now.items() if what not in away}
    # pinned memory is kept for the next time; the bucket is made anew
    kept = (always | moved) - {"gradient bucket"}
    in_ram = {what: size for what, size in state.items() if what in kept}
    return on_gpu | {"CUDA, NCCL": TRAINER_GIB * GIB}, in_ram


def _in_ram(zero: Sharding) -> set[str]:
    """What DeepSpeed keeps in RAM all the time, by the accelerate config."""
    optimizer = {"master weights", "moments"} if zero.offload_optimizer else set()
    return optimizer | ({"weights"} if zero.offload_weights else set())


def _items(state: Mapping[str, float]) -> list[Item]:
    micro_batch = dict.fromkeys(("activations", "logits"), "train.per_device_train_batch_size")
    return [
        Item(what=f"trainer {what}", size=size, setting=micro_batch.get(what, "--config_file"))
        for what, size in state.items()
    ]


def _add_in_process(cfg: TrainRLConfig, phase: Phase, training: Training) -> None:
    for role in _in_process(cfg):
        model = role.model
        shape = shape_of(model.model_name_or_path, role.setting, model.trust_remote_code)
        size = shape.weight_bytes(model.dtype)
        size += model.vllm.max_num_seqs * model.vllm.max_length * shape.kv_bytes_per_token()
        where = phase.ram if training.on_cpu else phase.gpus[0]
        setting = f"{role.setting}.vllm.max_num_seqs"
        where.append(Item(what=f"{role.name} in process", size=size, setting=setting))


def _in_process(cfg: TrainRLConfig) -> list[Role]:
    """Beside the tutor, which is the trained module itself."""
    if cfg.engines.backend == "vllm":
        return []
    return [r for r in roles_of(cfg).values() if r.name != "teacher" and not r.hosted]


def _tutor(cfg: TrainRLConfig) -> ModelShape:
    return shape_of(cfg.teacher_model.model_name_or_path, "teacher_model")


def _dtype(cfg: TrainRLConfig, training: Training) -> str:
    """What is computed in."""
    return "float32" if training.on_cpu else cfg.train.dtype


def weights_dtype(cfg: TrainRLConfig, training: Training) -> str:
    """What weights are held in, as `src/models/training.py` has it."""
    stepped_as_they_are = not (training.zero.stage or cfg.teacher_model.lora.enable)
    return "float32" if stepped_as_they_are else _dtype(cfg, training)


def rank_state(cfg: TrainRLConfig, training: Training) -> dict[str, float]:
    """Bytes of one rank, by what they are."""
    shape, lora = _tutor(cfg), cfg.teacher_model.lora
    trained = (
        shape.lora_parameters(lora.rank, lora.target_modules) if lora.enable else shape.parameters
    )
    return trainer_state(
        shape,
        training.zero,
        trained=trained,
        dtype=weights_dtype(cfg, training),
        optimizer="adamw_torch" if training.on_cpu else cfg.train.optimizer,
        # with adapters the reference is the same model without them
        reference=cfg.train.beta > 0 and not lora.enable,
        on_cpu=training.on_cpu,
    )


def _activations(cfg: TrainRLConfig, training: Training) -> dict[str, float]:
    """Of one micro-batch of the longest rows there can be."""
    train, shape, dtype = cfg.train, _tutor(cfg), _dtype(cfg, training)
    longest = min(cfg.generation.max_tokens_in_conversation, cfg.teacher_model.vllm.max_length)
    tokens = train.per_device_train_batch_size * longest
    activations = shape.activation_bytes(tokens, dtype, train.gradient_checkpointing)
    if (lora := cfg.teacher_model.lora).enable:
        activations += shape.adapter_bytes(
            tokens, dtype, train.gradient_checkpointing, lora.target_modules
        )
    found = {
        "activations": activations,
        "logits": shape.logit_bytes(
            tokens, dtype, head_is_trained=not cfg.teacher_model.lora.enable, on_cpu=training.on_cpu
        ),
    }
    if weights_dtype(cfg, training) != dtype:  # autocast's copies, until the backward pass ends
        found["weights as computed with"] = shape.weight_bytes(dtype)
    return found
