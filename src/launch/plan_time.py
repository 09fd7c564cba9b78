"""--plan: minutes an update, hours and dollars a run, printed beside the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.launch.arguments import Arguments
from src.launch.jobs import Job
from src.memory_plan.advice import Change, with_changes
from src.memory_plan.parts import Described, Plan, Training
from src.time_plan.assumed import assumed
from src.time_plan.cards import CARDS, Card, card_here, cpu
from src.time_plan.update import UpdatePlan, updates_of
from src.vllm.server import CannotPlace, Machine

WORTH = 0.97  # a change that saves less is within what the plan does not know
APART = 1.7  # texts so many times longer or shorter: the ends of the interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What the command line says about time: which card, what an hour of one costs."""

    card: Card
    price: float = 0.0
    measured: Path | None = None
    given: tuple[str, ...] = ()


def named_card(arguments: Arguments) -> Card | None:
    """That of --gpu.  Raises ConfigError for one that is not in the table."""
    if arguments.gpu is None:
        return None
    if arguments.gpu not in CARDS:
        raise ConfigError(f"--gpu: {arguments.gpu} is none of {', '.join(CARDS)}")
    return CARDS[arguments.gpu]


def clock_of(arguments: Arguments, described: Described, machine: Machine) -> Clock | None:
    """None where the GPUs are of no known kind: then there is no plan of time."""
    if described.gpus:
        card = named_card(arguments) or (card_here() if machine.has_gpus else None)
    else:
        card = cpu(machine.cores)
    if card is None:
        return None
    return Clock(
        card=card,
        price=arguments.price or 0.0,
        measured=Path(arguments.measured) if arguments.measured else None,
        given=tuple(arguments.assume),
    )


def print_time(
    job: Job,
    described: Described,
    training: Training,
    clock: Clock | None,
    memory: Callable[[TrainRLConfig], Plan],
) -> None:
    """`memory`: the plan with other settings.  It raises ConfigError where no run takes them."""
    from rich.console import Console
    from rich.table import Table

    console, cfg = Console(highlight=False), job.settings
    if clock is None:
        console.print("no plan of time: --gpu says which card (" + ", ".join(CARDS) + ")")
        return
    base = assumed(
        cfg.teacher_model.model_name_or_path, not described.gpus, clock.given, clock.measured
    )
    try:
        less, likely, more = (
            UpdatePlan(
                cfg, clock.card, described.gpus, training, base.times_longer(factor)
            ).seconds()
            for factor in (1 / APART, 1.0, APART)
        )
    except ConfigError as error:
        console.print(f"no plan of time: {error}")
        return
    where = f"{described.gpus} x {clock.card.name}" if described.gpus else clock.card.name
    title = f"one update on {where}, seconds; for texts {APART} times shorter to longer"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("", "expected", "from", "to"):
        table.add_column(heading, justify="right" if heading else "left")
    for phase, seconds in likely.items():
        table.add_row(phase, *(_short(x) for x in (seconds, less.get(phase, 0), more[phase])))
    totals = [sum(found.values()) for found in (likely, less, more)]
    table.add_row("total", *map(_short, totals))
    console.print(table)
    console.print(_whole_run(job, described, clock, totals))
    first, second = sorted(likely, key=lambda phase: -likely[phase])[:2]
    shares = [round(100 * likely[phase] / totals[0]) for phase in (first, second)]
    console.print(f"what dominates: {first} ({shares[0]} %), then {second} ({shares[1]} %)")

    def spent(changed: TrainRLConfig) -> float:
        plan = UpdatePlan(changed, clock.card, described.gpus, training, base)
        return sum(plan.seconds().values())

    faster = faster_settings(cfg, totals[0], spent, memory)
    lines = [f"{change} ({_short(seconds)} s)" for change, seconds in faster]
    console.print("faster, and fits: " + ("; ".join(lines) or "none of the settings tried"))


def faster_settings(
    cfg: TrainRLConfig,
    now: float,
    seconds: Callable[[TrainRLConfig], float],
    memory: Callable[[TrainRLConfig], Plan],
) -> list[tuple[str, float]]:
    """(setting=value, seconds of an update) of what leaves the results alone; the fastest first."""
    found = []
    for change in _faster(cfg):
        changed = with_changes(cfg, change)
        try:
            if memory(changed).fits and (spent := seconds(changed)) < WORTH * now:
                said = " ".join(f"{key}={str(value).lower()}" for key, value in change.items())
                found.append((said, spent))
        except (ConfigError, CannotPlace):
            continue
    return sorted(found, key=lambda each: each[1])


def _faster(cfg: TrainRLConfig) -> Iterator[Change]:
    order = ("turn", "phase", "always")
    for residency in order[order.index(cfg.engines.residency) + 1 :]:
        yield {"engines.residency": residency}
    if cfg.train.gradient_checkpointing:
        yield {"train.gradient_checkpointing": False}
    if not cfg.train.padding_free:
        yield {"train.padding_free": True}
    if cfg.train.separate_old_pass:
        yield {"train.separate_old_pass": False}


def _short(seconds: float) -> str:
    return (
        f"{seconds:.0f}" if seconds >= 20 else f"{seconds:.2f}" if seconds < 1 else f"{seconds:.1f}"
    )


def _span(seconds: list[float]) -> str:
    """Expected (least to most), in a unit that fits."""
    units = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
    unit, size = next(u for u in units if seconds[0] >= u[1] or u[1] == 1.0)
    expected, least, most = (f"{each / size:.2g}" for each in seconds)
    return f"{expected} {unit} ({least} to {most})"


def _whole_run(job: Job, described: Described, clock: Clock, totals: list[float]) -> str:
    """Minutes an update, and hours and dollars of all of them."""
    updates = updates_of(job.settings)
    count = 100 if updates is None else updates
    which = "100 updates" if updates is None else f"the run's {count} updates"
    run = [count * seconds for seconds in totals]
    said = f"{_span(totals)} an update; {which}: {_span(run)}"
    if clock.price:
        each = clock.price * max(1, described.gpus)
        dollars = [f"{each * seconds / 3600:,.0f}" for seconds in run]
        said += f", ${dollars[0]} ({dollars[1]} to {dollars[2]})"
    return said
