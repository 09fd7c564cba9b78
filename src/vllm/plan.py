"""What lies in memory in each phase of a run, on a machine that need not be there.

    python -m src.vllm.plan --gpus 4 --gpu-memory 80 --ram 512 --config-name 7b

is `./start_rl_training.sh --plan …`.  Weights and KV cache are counted exactly; what CUDA, NCCL and
the activations take are estimates, named in technical.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from config.schema import ModelSettings, TrainRLConfig
from src.vllm.gate import groups_of
from src.vllm.server import GIB, Machine, place_on_gpus
from src.vllm.shapes import model_shape
from src.vllm.spec import EngineSpec, is_hosted, plan_engines
from utils.memory import ModelShape, Sharding, quantization_of, trainer_state
from utils.rules import needs_judge

ENGINE_GIB = 1.0  # of an engine on each of its GPUs, asleep too: CUDA context, NCCL, graphs
TRAINER_GIB = 1.5  # of a rank on its GPU: CUDA context, NCCL, cuBLAS
RANK_RAM_GIB, ENGINE_RAM_GIB = 1.0, 1.1  # of one process: Python, torch, transformers or vLLM
BATCHED_TOKENS = (2048, 8192)  # vLLM's --max-num-batched-tokens; on GPUs of 70 GiB and more
ON_CPU_PACKED = 2.0  # vLLM's CPU backend keeps a packed copy of each linear weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A machine to plan for; `gpus` 0: all engines and ranks lie in RAM."""

    gpus: int
    gpu_bytes: float
    ram_bytes: float

    @property
    def machine(self) -> Machine:
        return Machine(gpus=tuple(str(gpu) for gpu in range(self.gpus)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the ranks of one node train; `zero` shards over those of all nodes."""

    zero: Sharding
    local_ranks: int
    on_cpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something in memory, and the setting that it goes by."""

    what: str
    size: float
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One state of the run: what lies on each GPU, and in RAM."""

    name: str
    gpus: list[list[Item]]
    ram: list[Item]


@dataclass(slots=True, kw_only=True)
class Plan:
    """A run on a machine; `held` says of each engine how many tokens its KV cache holds."""

    described: Described
    weights_in_ram: bool = True
    phases: list[Phase] = field(default_factory=list)
    held: dict[str, tuple[int, int]] = field(default_factory=dict)  # tokens, whole requests
    too_small: list[Item] = field(default_factory=list)  # engines without room for one request

    def overfull(self) -> Iterator[tuple[Phase, str, list[Item], float]]:
        """Phases that do not fit: where, what is there, and the bytes that there are."""
        for phase in self.phases:
            for gpu, items in enumerate(phase.gpus):
                if total(items) > self.described.gpu_bytes:
                    yield phase, f"GPU {gpu}", items, self.described.gpu_bytes
            if total(phase.ram) > self.described.ram_bytes:
                yield phase, "RAM", phase.ram, self.described.ram_bytes

    @property
    def fits(self) -> bool:
        return not self.too_small and next(self.overfull(), None) is None


def total(items: list[Item]) -> float:
    return sum(item.size for item in items)


def plan_memory(cfg: TrainRLConfig, described: Described, training: Training) -> Plan:
    """The plan of a run.  Raises ConfigError where a model's shape or its GPUs cannot be had."""
    in_ram = cfg.engines.weights_dir.startswith("/dev/shm")
    plan = Plan(described=described, weights_in_ram=in_ram)
    specs = plan_engines(cfg)
    shapes = {s.name: _shape(s.model, f"{s.roles[0]}_model", s.trust_remote_code) for s in specs}
    sleeping = {s.name: s.roles for s in specs if s.sleeps}
    groups = groups_of(cfg.engines.residency, sleeping)
    for name, role in _phases(cfg, specs):
        mine = {s.name for s in specs if role in s.roles}
        awake = next((group for group in groups if mine & group), frozenset())
        awake |= {s.name for s in specs if s.name not in sleeping}
        phase = Phase(name=name, gpus=[[] for _ in range(described.gpus)], ram=[])
        for spec in specs:
            _add_engine(plan, phase, spec, shapes[spec.name], spec.name in awake)
        _add_trainer(cfg, phase, training, described)
        plan.phases.append(phase)
    return plan


def _shape(name: str, role: str, trusted: bool = False) -> ModelShape:
    return model_shape(name, f"{role}.model_name_or_path", trusted)


def _phases(cfg: TrainRLConfig, specs: list[EngineSpec]) -> Iterator[tuple[str, str]]:
    """Name of a phase, and the role that is asked in it."""
    if cfg.engines.residency == "turn" and len(specs) > 1:
        yield "turns: tutor", "teacher"
        yield "turns: student", "student"
    else:
        yield "turns", "teacher"
    if needs_judge(cfg.generation):
        yield "judging", "judge"
    if cfg.generation.number_student_attempts:
        yield "solving", "student"
    yield "training", ""


# -- engines ---------------------------------------------------------------------------------


def _add_engine(plan: Plan, phase: Phase, spec: EngineSpec, shape: ModelShape, awake: bool) -> None:
    kind = quantization_of(spec.model, spec.quantization)
    weights = shape.weight_bytes(spec.dtype, kind)
    if not plan.described.gpus:
        _add_cpu_engine(plan, phase, spec, shape, weights)
        return
    setting = f"{spec.roles[0]}_model.vllm.gpu_memory_utilization"
    gpus, instances = place_on_gpus(spec, plan.described.machine)
    whole = plan.described.gpu_bytes
    share = spec.gpu_memory_utilization * whole
    on_each = {"weights": weights / spec.tensor_parallel, "CUDA, graphs": ENGINE_GIB * GIB}
    on_each["activations"] = _engine_activations(spec, shape, whole)
    cache = spec.kv_cache_memory_bytes or share - sum(on_each.values())
    per_token = shape.kv_bytes_per_token(spec.dtype, spec.tensor_parallel)
    tokens = max(0, int(cache // per_token))
    plan.held[spec.name] = (tokens * instances, tokens // spec.max_length * instances)
    if tokens < spec.max_length:
        needed = sum(on_each.values()) + per_token * spec.max_length
        item = Item(what=f"{spec.name} engine", size=needed, setting=setting)
        if item not in plan.too_small:
            plan.too_small.append(item)
    on_each["KV cache"] = max(0.0, cache)
    kept = on_each if awake else {"asleep": ENGINE_GIB * GIB}
    for gpu in gpus:
        phase.gpus[int(gpu)] += [
            Item(what=f"{spec.name} {what}", size=size, setting=setting)
            for what, size in kept.items()
        ]
    _add_ram(phase, spec, "processes", ENGINE_RAM_GIB * GIB * len(gpus))
    if spec.sleeps and not awake:  # the tutor too, until its first new weights
        _add_ram(phase, spec, "asleep in RAM", weights * instances)
    _add_published(plan, phase, spec, shape)


def _engine_activations(spec: EngineSpec, shape: ModelShape, whole: float) -> float:
    """What vLLM sets aside after its profiling run; an estimate."""
    tokens = BATCHED_TOKENS[whole >= 70 * GIB]
    widest = 2 * shape.intermediate // spec.tensor_parallel + 4 * shape.hidden
    logits = 2 * 4 * spec.max_num_seqs * shape.vocabulary
    return float(2 * tokens * widest + logits)


def _add_cpu_engine(
    plan: Plan, phase: Phase, spec: EngineSpec, shape: ModelShape, weights: float
) -> None:
    """On a CPU sleep gives nothing back."""
    cache = spec.kv_cache_memory_bytes or spec.cpu_kv_cache_gib * GIB
    tokens = int(cache // shape.kv_bytes_per_token(spec.dtype))
    plan.held[spec.name] = (tokens, tokens // spec.max_length)
    if tokens < spec.max_length:
        item = Item(
            what=f"{spec.name} engine",
            size=shape.kv_bytes_per_token(spec.dtype) * spec.max_length,
            setting=f"{spec.roles[0]}_model.vllm.cpu_kv_cache_gib",
        )
        if item not in plan.too_small:
            plan.too_small.append(item)
    for what, size in {
        "weights": weights * ON_CPU_PACKED,
        "KV cache": cache,
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
        size = shape.weight_bytes(spec.dtype)
    _add_ram(phase, spec, "published weights", 2 * size)


def _add_ram(phase: Phase, spec: EngineSpec, what: str, size: float) -> None:
    setting = {"published weights": "engines.weights_dir", "asleep in RAM": "engines.residency"}
    other = f"{spec.roles[0]}_model.model_name_or_path"
    phase.ram.append(Item(what=f"{spec.name} {what}", size=size, setting=setting.get(what, other)))


# -- training --------------------------------------------------------------------------------


def _add_trainer(
    cfg: TrainRLConfig, phase: Phase, training: Training, described: Described
) -> None:
    """On each rank's GPU, or all of them in RAM; activations only while it trains."""
    if cfg.train.collect_only:
        return
    if phase.name == "training":
        state = {**_state(cfg, training), **_activations(cfg)}
    else:
        state = _state(cfg, training)
        del state["gathered"], state["gradients"]
    cuda = {} if training.on_cpu else {"CUDA, NCCL": TRAINER_GIB * GIB}
    settings = {
        "activations": "train.per_device_train_batch_size",
        "logits": "train.per_device_train_batch_size",
    }
    off = {"optimizer": training.zero.offload_optimizer, "weights": training.zero.offload_weights}
    for rank in range(training.local_ranks):
        for what, size in {**state, **cuda}.items():
            setting = settings.get(what, "--config_file")
            item = Item(what=f"trainer {what}", size=size, setting=setting)
            in_ram = training.on_cpu or off.get(what, False)
            (phase.ram if in_ram else phase.gpus[rank]).append(item)
        process = Item(what="trainer process", size=RANK_RAM_GIB * GIB, setting="--config_file")
        phase.ram.append(process)
    for role, model in _in_process(cfg):
        shape = _shape(model.model_name_or_path, f"{role}_model", model.trust_remote_code)
        size = shape.weight_bytes(model.dtype)
        size += model.vllm.max_num_seqs * model.vllm.max_length * shape.kv_bytes_per_token()
        where = phase.ram if training.on_cpu else phase.gpus[0]
        setting = f"{role}_model.vllm.max_num_seqs"
        where.append(Item(what=f"{role} in process", size=size, setting=setting))


def _in_process(cfg: TrainRLConfig) -> Iterator[tuple[str, ModelSettings]]:
    if cfg.engines.backend == "vllm":
        return
    yield "student", cfg.student_model
    if needs_judge(cfg.generation) and not is_hosted(cfg.judge_model):
        yield "judge", cfg.judge_model


def _tutor(cfg: TrainRLConfig) -> ModelShape:
    return _shape(cfg.teacher_model.model_name_or_path, "teacher_model")


def _state(cfg: TrainRLConfig, training: Training) -> dict[str, float]:
    shape, lora = _tutor(cfg), cfg.teacher_model.lora
    trained = (
        shape.lora_parameters(lora.rank, lora.target_modules) if lora.enable else shape.parameters
    )
    sizes = trainer_state(
        shape,
        training.zero,
        trained=trained,
        dtype="float32" if training.on_cpu else cfg.train.dtype,
        optimizer="adamw_torch" if training.on_cpu else cfg.train.optimizer,
        # with adapters the reference is the same model without them
        reference=cfg.train.beta > 0 and not lora.enable,
    )
    return {"gathered": 0.0, **sizes}


def _activations(cfg: TrainRLConfig) -> dict[str, float]:
    """Of one micro-batch of the longest rows there can be."""
    train, shape = cfg.train, _tutor(cfg)
    longest = min(cfg.generation.max_tokens_in_conversation, cfg.teacher_model.vllm.max_length)
    tokens = train.per_device_train_batch_size * longest
    return {
        "activations": shape.activation_bytes(tokens, train.dtype, train.gradient_checkpointing),
        "logits": shape.logit_bytes(tokens, train.dtype),
    }


# -- what one update asks for ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests to a role in one update, and the tokens it may sample, both at most."""

    requests: int
    tokens: int


def update_load(cfg: TrainRLConfig) -> Mapping[str, Load]:
    """Of all nodes together.  `training` counts rows and their tokens, mu times over."""
    generation, train = cfg.generation, cfg.train
    rows = train.number_of_problems_per_batch * train.num_samples_per_problem
    problems = train.number_of_problems_per_batch
    turns = -(-generation.max_turns // 2)  # of either role: whoever opens
    longest = generation.max_tokens_in_conversation
    attempts = rows * generation.number_student_attempts
    attempts += problems * (generation.number_initial_attempts + 1)  # + the opening attempt
    verdicts = 0
    if needs_judge(generation):
        rules = generation.judges_rules_prompts_paths.values()
        prompts = sum(not (rule == "matcher" or ":" in rule) for rule in rules)
        verdicts = rows * prompts * generation.number_judge_attempts
    per_turn = generation.max_tokens_per_turn
    return {
        "tutor": Load(requests=rows * turns, tokens=rows * min(turns * per_turn, longest)),
        "student's turns": Load(requests=rows * turns, tokens=rows * turns * per_turn),
        "judge": Load(requests=verdicts, tokens=verdicts * generation.max_tokens_per_judge_attempt),
        "student's solutions": Load(
            requests=attempts, tokens=attempts * generation.max_tokens_per_student_attempt
        ),
        "training": Load(requests=rows * train.mu, tokens=rows * train.mu * longest),
    }


# -- what to change --------------------------------------------------------------------------

Replan = Callable[[TrainRLConfig], Plan]


def refusal(plan: Plan, cfg: TrainRLConfig, changed: Replan) -> str | None:
    """One line that begins with the setting to change; None where everything fits.

    `changed` plans again with other settings, so that what is proposed is known to be enough.
    """
    from src.vllm.plan_advice import advice

    if plan.fits:
        return None
    if plan.too_small:
        item = max(plan.too_small, key=lambda item: item.size)
        problem = f"the {item.what} needs {item.size / GIB:.1f} GiB for its weights and one request"
        setting = item.setting
    else:
        phase, where, items, size = max(plan.overfull(), key=lambda o: total(o[2]) - o[3])
        largest = sorted(items, key=lambda item: -item.size)[:3]
        named = ", ".join(f"{item.what} {item.size / GIB:.1f}" for item in largest)
        problem = (
            f"{where} would hold {total(items) / GIB:.1f} of {size / GIB:.1f} GiB "
            f"in {phase.name} ({named}, …)"
        )
        setting = largest[0].setting
    found = advice(cfg, changed)
    if found is not None:
        return f"{found[0]}: {problem}; {found[1]} would fit"
    return f"{setting}: {problem}; no single other setting would make it fit"


if __name__ == "__main__":
    from src.launch.__main__ import main

    sys.exit(main(["--plan", *sys.argv[1:]]))
