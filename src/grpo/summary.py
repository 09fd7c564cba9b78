"""What a training run leaves: the table at its end, metrics.json, report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from utils.metrics.conversation import METRICS_NAME, summarise, write_json
from utils.metrics.monitors import readings
from utils.metrics.results import run_results
from utils.metrics.statistics import NOTHING, Estimate
from utils.metrics.training_metrics import rollout_metrics
from utils.metrics.verdicts import only_reported
from utils.records import ConversationRecord
from utils.report.terminal import cell, output
from utils.report.write import REPORT_NAME, load_decoder, write_report
from utils.runs.read import open_run

_ROWS = (
    ("solve rate before", "classroom/solve_before"),
    ("solve rate after", "classroom/solve_after"),
    ("solve rate after, accepted ones", "classroom/solve_after_accepted"),
    ("another problem, before", "classroom/solve_transfer_before"),
    ("another problem, after", "classroom/solve_transfer"),
    ("another problem, after, accepted ones", "classroom/solve_transfer_accepted"),
    ("leaked", "classroom/leaked"),
    ("rejected", "classroom/rejected"),
    ("rejected by any verdict", "classroom/rejected_any"),
    ("missing verdicts", "classroom/missing"),
    ("left out", "classroom/excluded"),
    ("turns", "classroom/turns"),
    ("tutor turns that failed a rule", "classroom/turns_failed"),
    ("tutor turns withheld", "classroom/turns_withheld"),
    ("tutor tokens", "classroom/tutor_tokens"),
    ("all tokens", "classroom/tokens"),
    ("groups without spread", "monitors/groups_without_spread"),
)
_HELD_OUT = (
    ("solve rate before", "solve_before"),
    ("solve rate after", "solve_after"),
    ("gain", "delta"),
    ("another problem, before", "solve_transfer_before"),
    ("another problem, after", "solve_transfer"),
    ("gain, normalised, on another problem", "gain_transfer"),
    ("transfer gap", "transfer_gap"),
    ("leaked", "leaked"),
    ("rejected", "rejected"),
    ("rejected by any verdict", "rejected_any"),
    ("missing verdicts", "missing"),
    ("turns", "turns"),
    ("reward", "reward_total"),
)


def write_results(folder: Path, tokenizer: str) -> Path:
    """metrics.json and report.html of a run; `tokenizer`: the tutor's, a model's name or folder."""
    run = open_run(folder)
    write_json(folder / METRICS_NAME, run_results(run))
    return write_report([run], folder / REPORT_NAME, decoders=[load_decoder(tokenizer)])


def print_summary(folder: Path, console: Console | None = None) -> None:
    """Print the tables of a run folder from its record."""
    console = console or output()
    run = open_run(folder)
    records = [r for r in run.records if r.split == "train"]
    steps = sorted({r.step for r in records})
    if not steps:
        console.print(f"no conversations were held; run folder: {folder}")
        return
    batches = [[r for r in records if r.step == step] for step in (steps[0], steps[-1])]
    console.print(_table(steps, batches))
    evaluated = [r for r in run.records if r.split == "eval"]
    if (held_out := _held_out(evaluated)) is not None:
        console.print(held_out)
    for reading in readings(records):
        if reading.alarm:
            console.print(f"[bold red]alarm[/] {reading.alarm}")
    console.print(f"run folder: {folder}", highlight=False, soft_wrap=True)


def _table(steps: Sequence[int], batches: Sequence[Sequence[ConversationRecord]]) -> Table:
    first, last = (rollout_metrics(batch) for batch in batches)
    title = f"{len(steps)} batches of {len(batches[-1])} conversations"
    table = Table(title=title, title_justify="left")
    table.add_column("mean over conversations")
    table.add_column(f"first (step {steps[0]})", justify="right")
    table.add_column(f"last (step {steps[-1]})", justify="right")
    for label, name in _ROWS:
        if name in first or name in last:
            table.add_row(label, _number(first, name), _number(last, name))
    for name in sorted({*first, *last}):
        if name.startswith("judges_agree/"):
            label = "judges agree: " + name.removeprefix("judges_agree/")
            table.add_row(label, _number(first, name), _number(last, name))
    table.add_section()
    rewards = [_mean_rewards(batch) for batch in batches]
    for name in {name: None for means in rewards for name in means}:
        table.add_row(f"reward: {name}", *(_number(means, name) for means in rewards))
    table.add_section()
    for name in sorted({*first, *last}):
        if name.startswith("seconds/"):
            label = "seconds in " + name.removeprefix("seconds/")
            table.add_row(label, _number(first, name), _number(last, name))
    return table


def _held_out(records: Sequence[ConversationRecord]) -> Table | None:
    """First evaluation against last, with standard errors; None where there was none."""
    steps = sorted({r.step for r in records})
    if not steps:
        return None
    shown = [steps[0], steps[-1]] if len(steps) > 1 else steps
    problems = len({r.problem_id for r in records})
    table = Table(title=f"{problems} held-out problems", title_justify="left")
    table.add_column("mean ± standard error")
    for step in shown:
        table.add_column("before training" if step == 0 else f"step {step}", justify="right")
    found = [summarise([r for r in records if r.step == step]) for step in shown]
    for label, name in _HELD_OUT:
        if any(name in each and each[name].n for each in found):
            cells = (cell(each[name].to_json()) if name in each else "-" for each in found)
            table.add_row(label, *cells)
    for rule in only_reported(records):  # what is only reported is shown as what was achieved
        rejected = [each.get(f"rejected_by_{rule}", NOTHING).to_json() for each in found]
        kept = (e | {"mean": None if e["mean"] is None else 1 - e["mean"]} for e in rejected)
        table.add_row(rule, *map(cell, kept))
    return table


def _mean_rewards(batch: Sequence[ConversationRecord]) -> dict[str, float]:
    paid = [r.rewards for r in batch if r.rewards]
    return {name: sum(r[name] for r in paid) / len(paid) for name in paid[0]} if paid else {}


def _number(values: Mapping[str, float | Estimate], name: str) -> str:
    value = values.get(name)
    return "-" if value is None else f"{value:.3f}"
