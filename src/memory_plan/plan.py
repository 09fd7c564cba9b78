"""What lies in memory in each phase of a run, on a machine that need not be there.

    ./start_rl_training.sh --plan --gpus 4 --gpu-memory 80 --ram 512 --config-name 7b

is `./start_rl_training.sh --plan …`.  Weights and KV cache are counted exactly; what CUDA, NCCL and
the activations take are estimates, named in docs/memory.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from config.roles import roles_of
from config.rules import active_rules, needs_judge, prompts_among, turn_rules
from config.schema import TrainRLConfig
from config.sessions import solved_before, solved_in, talks_of
from src.memory_plan.engines import add_engine
from src.memory_plan.parts import Described, Phase, Plan, Training, shape_of, summed, total
from src.memory_plan.trainer import add_trainer, weights_dtype
from src.vllm.gate import groups_of
from src.vllm.server import GIB
from src.vllm.spec import EngineSpec, plan_engines


def plan_memory(cfg: TrainRLConfig, described: Described, training: Training) -> Plan:
    """The plan of a run.  Raises ConfigError where a model's shape or its GPUs cannot be had."""
    in_ram = cfg.engines.weights_dir.startswith("/dev/shm")
    dtype = weights_dtype(cfg, training)
    plan = Plan(described=described, trained_dtype=dtype, weights_in_ram=in_ram)
    specs = plan_engines(cfg)
    shapes = {s.name: shape_of(s.model, s.setting, s.trust_remote_code) for s in specs}
    sleeping = {s.name: s.phases for s in specs if s.sleeps}
    groups = groups_of(cfg.engines.residency, sleeping)
    for name, role in _phases(cfg, specs):
        mine = {s.name for s in specs if role in s.roles}
        awake = next((group for group in groups if mine & group), frozenset())
        awake |= {s.name for s in specs if s.name not in sleeping}
        phase = Phase(name=name, gpus=[[] for _ in range(described.gpus)], ram=[])
        for spec in specs:
            add_engine(plan, phase, spec, shapes[spec.name], spec.name in awake)
        add_trainer(cfg, phase, training)
        plan.phases.append(phase)
    return plan


def _phases(cfg: TrainRLConfig, specs: list[EngineSpec]) -> Iterator[tuple[str, str]]:
    """Name of a phase, and the role that is asked in it."""
    students = [name for name, role in roles_of(cfg).items() if "solving" in role.phases]
    if cfg.engines.residency == "turn" and len(specs) > 1:
        yield "turns: tutor", "teacher"
        for role in students:
            yield f"turns: {role}", role
    else:
        yield "turns", "teacher"
    if "judge" in roles_of(cfg):
        yield "judging", "judge"
    if cfg.generation.number_student_attempts:
        alone = cfg.engines.residency == "turn" and len(students) > 1
        for role in students if alone else students[:1]:
            yield f"solving: {role}" if alone else "solving", role
    yield "training", ""


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
    talks = talks_of(generation)
    turns = talks * -(-generation.max_turns // 2)  # of either role: whoever opens
    longest = generation.max_tokens_in_conversation
    attempts = solved_in(generation) * rows * generation.number_student_attempts
    before = solved_before(generation) * generation.number_initial_attempts
    attempts += problems * (before + 1)  # + the opening one
    verdicts = 0
    if needs_judge(generation):
        verdicts = prompts_among(active_rules(generation)) * generation.number_judge_attempts
        verdicts = rows * (talks * verdicts + turns * prompts_among(turn_rules(generation)))
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
    if plan.fits:
        return None
    if plan.too_small:
        item = max(plan.too_small, key=lambda item: item.size)
        problem, setting = f"{item.what} {item.size / GIB:.1f} GiB", item.setting
    else:
        phase, where, items, room = max(plan.overfull(), key=lambda o: total(o[2]) - o[3])
        largest = sorted(summed(items).items(), key=lambda item: -item[1])
        named = ", ".join(f"{what} {size / GIB:.1f}" for what, size in largest[:3])
        problem = (
            f"{where} would hold {total(items) / GIB:.1f} of {room / GIB:.1f} GiB "
            f"in {phase.name} ({named}, …)"
        )
        setting = next(item.setting for item in items if item.what == largest[0][0])
    return advised(setting, problem, cfg, changed, plan.described.gpus)


def advised(setting: str, problem: str, cfg: TrainRLConfig, changed: Replan, gpus: int) -> str:
    """The problem and what would solve it, in one line that begins with a setting to change."""
    from src.memory_plan.advice import advice

    found = advice(cfg, changed, gpus)
    if found is None:
        return (
            f"{setting}: {problem}; no one or two other settings would make it fit: it takes a "
            "smaller model or a larger machine"
        )
    typed = " ".join(f"{name}={value}" for name, value in found.items())
    named = setting if setting in found else next(iter(found))
    return f"{named}: {problem}; {typed} would fit ({price(found)})"


# What an engine or the trainer computes with these is the same; all else changes the run.
SPEED_ONLY = (
    *("residency", "number_of_gpus_per_instance", "offload_during_rollouts", "cpu_kv_cache_gib"),
    *("gpu_memory_utilization", "gradient_checkpointing", "per_device_train_batch_size"),
    "backend",
)


def price(changes: Mapping[str, str]) -> str:
    """What settings that save memory cost."""
    if "teacher_model.lora.enable" in changes:
        return (
            "which changes what is learnt: adapters alone are trained, and usually with a "
            "train.learning_rate of ten times or more"
        )
    if all(setting.rpartition(".")[2] in SPEED_ONLY for setting in changes):
        return "speed only: what is learnt stays the same"
    return "which changes what is learnt: conversations have less room"
