"""--plan: minutes an update, hours and dollars a run, printed beside the memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError
from src.launch.arguments import Arguments
from src.launch.jobs import Job
from src.memory_plan.parts import Described, Training
from src.time_plan.assumed import assumed
from src.time_plan.cards import CARDS, Card, card_here, cpu
from src.time_plan.update import UpdatePlan, updates_of
from src.vllm.server import Machine

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


def print_time(job: Job, described: Described, training: Training, clock: Clock | None) -> None:
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
