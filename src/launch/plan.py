"""--plan: what a run would take of a machine, printed; what does not fit is refused."""

from __future__ import annotations

import functools
import math
import subprocess
from collections.abc import Sequence

import psutil

from config.errors import ConfigError
from config.normalise import normalise
from config.schema import TrainRLConfig
from config.validate import check_offload, validate
from src.launch.arguments import Arguments
from src.launch.jobs import Job
from src.launch.plan_time import Clock, named_card, print_time
from src.memory_plan.arithmetic import Sharding
from src.memory_plan.parts import Described, Item, Plan, Training, summed, total
from src.memory_plan.plan import advised, plan_memory, refusal, update_load
from src.vllm.server import GIB, CannotPlace, Machine


def describe(arguments: Arguments, machine: Machine) -> Described:
    """The machine of --gpus, --gpu-memory and --ram (GiB); this one where they are left out."""
    gpus = len(machine.gpus) if arguments.gpus is None else int(arguments.gpus)
    here = psutil.virtual_memory().total / GIB
    ram = arguments.ram or (here if arguments.gpu is None else math.inf)  # elsewhere: not known
    cut = any(gpu.startswith("MIG-") for gpu in machine.gpus)  # nvidia-smi tells the whole GPU's
    known = gpus and machine.has_gpus and not cut
    card = named_card(arguments)
    memory = arguments.gpu_memory or (card.gib if card else _gpu_memory() if known else 0.0)
    if arguments.gpu_memory and not gpus and arguments.gpus is None:
        raise ConfigError("--gpu-memory: --gpus says how many of them; none is visible here")
    if gpus and not memory:
        raise ConfigError(
            "--gpu-memory: needs the GiB of a GPU, or --gpu its kind, since none is visible here"
        )
    return Described(gpus=gpus, gpu_bytes=memory * GIB, ram_bytes=ram * GIB)


def _gpu_memory() -> float:
    """GiB of the smallest GPU."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=True)
    return min(float(line) for line in done.stdout.split()) / 1024


def training_of(job: Job, described: Described) -> Training:
    """How the job's ranks would lie on the machine."""
    ranks = job.ranks
    if ranks is None:
        return _one_process(described)
    here = max(1, ranks.processes // ranks.machines)
    if not ranks.on_cpu and here > described.gpus:
        raise ConfigError(f"--config_file: asks for {here} GPUs a machine, --gpus {described.gpus}")
    zero = Sharding(
        stage=ranks.zero_stage,
        ranks=ranks.processes,
        offload_optimizer=ranks.offload_optimizer,
        offload_weights=ranks.offload_weights,
    )
    return Training(zero=zero, local_ranks=here, on_cpu=ranks.on_cpu)


def print_plans(jobs: Sequence[Job], described: Described, clock: Clock | None = None) -> None:
    """Print each job's plan.  Raises ConfigError for the first that does not fit."""
    for job in jobs:
        training, cfg = training_of(job, described), job.settings
        changed = functools.partial(_replan, described=described, training=training)
        try:
            plan = plan_memory(cfg, described, training)
        except CannotPlace as error:
            setting, _, problem = str(error).partition(": ")
            raise ConfigError(advised(setting, problem, cfg, changed, described.gpus)) from None
        _print(job, plan, training)
        said = refusal(plan, cfg, changed)
        if said is not None:
            raise ConfigError(said)
        print_time(job, described, training, clock, changed)


def _replan(cfg: TrainRLConfig, described: Described, training: Training) -> Plan:
    """The plan with other settings.  Raises ConfigError where no run would take them."""
    normalise(cfg)
    validate(cfg)
    if cfg.engines.backend == "transformers":
        training = _one_process(described)
    check_offload(cfg, training.zero.stage, training.zero.offload_weights)
    return plan_memory(cfg, described, training)


def _one_process(described: Described) -> Training:
    return Training(zero=Sharding(stage=0, ranks=1), local_ranks=1, on_cpu=not described.gpus)


def _print(job: Job, plan: Plan, training: Training) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    zero, described = training.zero, plan.described
    where = f"{described.gpus} GPUs of {described.gpu_bytes / GIB:.0f} GiB, "
    ram = (
        f"{described.ram_bytes / GIB:.0f} GiB"
        if math.isfinite(described.ram_bytes)
        else "any amount"
    )
    console.print(
        f"{job.folder.name} on {where if described.gpus else ''}{ram} "
        f"of RAM; {zero.ranks} ranks, "
        f"{f'ZeRO-{zero.stage}' if zero.stage else 'one process'}; "
        f"residency {job.settings.engines.residency}. All sizes in GiB."
    )
    for place, items_of in _places(plan):
        table = Table(title=place, title_justify="left", box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        for phase in plan.phases:
            table.add_column(phase.name, justify="right")
        columns = [summed(items) for items in items_of]
        for what in dict.fromkeys(what for column in columns for what in column):
            table.add_row(what, *(_gib(column.get(what, 0.0)) for column in columns))
        table.add_row("total", *(f"{total(items) / GIB:.1f}" for items in items_of))
        console.print(table)
    _print_load(job, plan, console)


def _places(plan: Plan) -> list[tuple[str, list[list[Item]]]]:
    """GPUs that hold the same are shown once."""
    alike: dict[str, list[int]] = {}
    for gpu in range(plan.described.gpus):
        alike.setdefault(repr([phase.gpus[gpu] for phase in plan.phases]), []).append(gpu)
    places = [
        (f"GPU {', '.join(map(str, gpus))}", [phase.gpus[gpus[0]] for phase in plan.phases])
        for gpus in alike.values()
    ]
    return [*places, ("RAM", [phase.ram for phase in plan.phases])]


def _gib(size: float) -> str:
    return f"{size / GIB:.2f}" if size else ""


def _print_load(job: Job, plan: Plan, console: object) -> None:
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    for engine, (tokens, requests) in plan.held.items():
        console.print(f"{engine} engine: KV cache of {tokens:,} tokens, {requests:,} full requests")
    table = Table(title="one update, at most", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "requests", "tokens"):
        table.add_column(heading, justify="right" if heading else "left")
    for role, load in update_load(job.settings).items():
        if load.requests:
            table.add_row(role, f"{load.requests:,}", f"{load.tokens:,}")
    console.print(table)
