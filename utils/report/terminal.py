"""What goes to the terminal: text without control characters, and the tables of a run."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from utils.metrics.conversation import HEADLINE
from utils.metrics.post_tests import OF_TRANSFER
from utils.metrics.statistics import MIN_CLUSTERS

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_SPACES = re.compile(r"\s+")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, bidi marks, surrogates, line breaks
SHOWN = (*HEADLINE, "solve_after_accepted", "delta_accepted", *OF_TRANSFER, "tutor_tokens")
BY_GROUP = {
    "solve_before": "before",
    "solve_after": "after",
    "delta": "delta",
    "solve_transfer": "other",
    "leaked": "leaked",
    "rejected": "rejected",
    "ped_rm_macro": "Ped-RM",
}
BENCHMARK = ("accuracy", "win_rate", "f1_", "bleu")
PIPED = 200
WIDE = 110  # columns of a terminal in which a group's line holds every `mean ± se`


def output() -> Console:
    """Standard output; what goes to a file or pipe is not folded at a terminal's width."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED, soft_wrap=True)


def plain(text: object, limit: int = 200) -> str:
    """One line that cannot steer a terminal: no escapes, no controls, no bidi marks."""
    line = _SPACES.sub(" ", _ESCAPES.sub("", str(text)))
    line = "".join(c for c in line if unicodedata.category(c) not in _INVISIBLE)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cell(entry: Mapping[str, Any] | None) -> str:
    """`mean ± se` of an entry of metrics.json, or a dash."""
    if entry is None or entry.get("mean") is None:
        return "-"
    mean, se = float(entry["mean"]), entry.get("se")
    return f"{mean:.3f}" if se is None else f"{mean:.3f} ± {float(se):.3f}"


def metrics_table(metrics: Mapping[str, Any], title: str) -> Table:
    """Headline metrics with standard error, interval and number of values."""
    table = Table(title=Text(plain(title)), title_justify="left")
    for name in ("metric", "mean ± se", "95 % interval", "n"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    own = [name for name in metrics if name.startswith(BENCHMARK)]
    control = [name for name in metrics if name.startswith("control_")]
    shown = [n for n in SHOWN if not own or n.startswith("ped_rm")]  # one answer is no dialog
    for name in (*own, *shown, *control):
        entry = metrics.get(name)
        if not isinstance(entry, Mapping) or not entry.get("n"):
            continue
        low, high = entry.get("low"), entry.get("high")
        interval = "-" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
        shown_as = name if entry.get("comparable", True) else f"{name} *"
        table.add_row(shown_as, cell(entry), interval, str(entry["n"]))
    return table


def groups_table(metrics: Mapping[str, Any], grouping: str, *, wide: bool = True) -> Table | None:
    """Headline metrics by group; None where there is only one group.

    Where it is not `wide` a standard error stands below its mean.
    """
    groups = metrics.get("by", {}).get(grouping, {})
    if len(groups) < 2:
        return None
    names = [n for n in BY_GROUP if any(e.get(n, {}).get("n") for e in groups.values())]
    table = Table(title=f"by {grouping}", title_justify="left", show_lines=not wide)
    table.add_column(grouping, overflow="fold")
    for name in names:
        table.add_column(BY_GROUP[name], justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for group, entries in groups.items():
        cells = [cell(entries.get(n)) for n in names]
        if not wide:
            cells = [c.replace(" ± ", "\n± ") for c in cells]
        count = entries.get("turns", {}).get("n", 0)
        table.add_row(Text(plain(group)), *cells, str(count))
    return table


STUDENT_COLUMNS = {
    "before": "before",
    "targeted": "targeted",
    "misaligned": "misalig.",
    "generic": "generic",
    "selectivity": "selectivity",
    "believed": "believed",
    "hold": "hold",
    "in_character": "in char.",
}


def students_table(
    students: Mapping[str, Mapping[str, Any]], title: str, *, wide: bool = True
) -> Table:
    """What each student reacts to; below the selectivity stands its 95 % interval.

    Where it is not `wide` each measure of a student is a line.
    """
    table = Table(title=Text(plain(title)), title_justify="left")
    names = [n for n in STUDENT_COLUMNS if any(s[n]["n"] for s in students.values())]
    table.add_column("student", overflow="fold", min_width=12)
    if not wide:
        table.add_column("measure", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        for student, entry in students.items():
            shown: dict[str, str] = {}
            for name in names:
                shown[name] = _mean_of(entry[name], interval=name == "selectivity")
            shown["n"] = str(entry["conversations"])
            label = Text(plain(_with_held_out(student, entry)))
            for at, (name, value) in enumerate(shown.items()):
                table.add_row(label if at == 0 else "", name, value, end_section=name == "n")
        return table
    for name in names:
        table.add_column(STUDENT_COLUMNS[name], justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for student, entry in students.items():
        cells = [_mean_of(entry[name], interval=name == "selectivity") for name in names]
        label = Text(plain(_with_held_out(student, entry)))
        table.add_row(label, *cells, str(entry["conversations"]))
    return table


def _with_held_out(student: str, entry: Mapping[str, Any]) -> str:
    return f"{student} (held out)" if entry["held_out"] else student


def _mean_of(entry: Mapping[str, Any], *, interval: bool) -> str:
    if entry["mean"] is None:
        return "-"
    low, high = entry["low"], entry["high"]
    shown = interval and low is not None
    return f"{entry['mean']:.3f}" + (f"\n[{low:.2f}, {high:.2f}]" if shown else "")


def print_metrics(metrics: Mapping[str, Any], title: str, console: Console | None = None) -> None:
    """The table of a run: headline, groups, how conversations ended, agreement, alarms."""
    console = console or output()
    wide = console.width >= WIDE
    if "students" in metrics:
        console.print(students_table(metrics["students"], title, wide=wide))
        return
    console.print(metrics_table(metrics, title))
    for grouping in ("student", "type", "source", "difficulty"):
        if (table := groups_table(metrics, grouping, wide=wide)) is not None:
            console.print(table)
    ended: Mapping[str, int] = metrics.get("ended", {})
    if ended:
        parts = ", ".join(f"{reason} {count}" for reason, count in ended.items())
        console.print(Text(f"conversations ended: {parts}"))
    for note in metrics.get("notes", []):
        console.print(Text(f"* {plain(note)}"))
    for line in _agreement_lines(metrics.get("agreement", [])):
        console.print(Text(line))
    for alarm in metrics.get("alarms", []):
        console.print(Text(f"ALARM {plain(alarm)}", style="bold red"))


def _agreement_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for entry in entries:
        kappa = "-" if entry["kappa"] is None else f"{entry['kappa']:.2f}"
        if entry.get("low") is not None:
            kappa += f" [{entry['low']:.2f}, {entry['high']:.2f}]"
        elif 0 < (problems := entry.get("clusters", 0)) < MIN_CLUSTERS:
            kappa += f", no interval: {problems} problems are few"
        lines.append(
            f"judges agree: {plain(entry['first'])} / {plain(entry['second'])}: "
            f"{entry['share']:.1%} (kappa {kappa}, n {entry['n']})"
        )
    return lines


def calibration_table(entry: Mapping[str, Any]) -> Table:
    """One judge against people: an entry of calibration.json."""
    title = f"{plain(entry['judge'])} against {plain(entry['labels'])}"
    table = Table(title=Text(title), title_justify="left")
    for name in ("measure", "value", "95 % interval"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for name, measure in entry["measures"].items():
        value, low, high = (measure[key] for key in ("value", "low", "high"))
        interval = "-" if low is None else f"[{low:.3f}, {high:.3f}]"
        table.add_row(name, "-" if value is None else f"{value:.3f}", interval)
    counts, agree = entry["table"], entry["attempts_agree"]
    table.add_section()
    table.add_row("turns, conversations", f"{entry['turns']}, {entry['conversations']}", "")
    rejected = "both reject, only judge, only people"
    table.add_row(
        rejected, f"{counts['both']}, {counts['only_judge']}, {counts['only_people']}", ""
    )
    table.add_row("undecided turns", str(entry["undecided"]), "")
    table.add_row("unreadable answers", f"{entry['unreadable']:.1%}", "")
    table.add_row("attempts agree", "-" if agree is None else f"{agree:.1%}", "")
    for reason, n in entry["left_out"].items():
        table.add_row(Text(f"left out: {plain(reason)}"), str(n), "")
    for group, found in entry["groups"].items():
        share = f"{found['rejected']} of {found['turns']}"
        table.add_row(Text(f"rejects: {plain(group)}"), share, "")
    for name, used in entry["usage"].items():
        table.add_row(
            Text(name.replace("_", " ")), f"{used:.4g}" if "usd" in name else f"{used}", ""
        )
    table.add_row("seconds", f"{entry['seconds']:.1f}", "")
    return table
