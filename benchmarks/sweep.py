"""Runs of the toy that a sweep compares: each started once, read, counted over seeds, drawn.

Every run has a folder `runs/SWEEP/SETTING-seedN`; a finished one is not run again, an interrupted
one goes on.  Seeds come one after the other, so that an unfinished sweep has every setting.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from threading import Event
from typing import Any

from rich.table import Table

from toy.world import teaches
from utils.metrics.conversation import leaked, mean_of, solve_after
from utils.metrics.statistics import mean_over_seeds
from utils.records import ConversationRecord
from utils.report.terminal import output
from utils.report.write import REPORT_NAME, write_report
from utils.runs.read import Run, open_run

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (1, 2, 3)
IN_PROCESS = "engines.backend=transformers"
_running: set[subprocess.Popen[bytes]] = set()
Row = dict[str, Any]
Point = tuple[str, str, Any, float | None]  # panel, line, where on the x axis, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line of a sweep's table: what it is called, what it says of itself, its overrides."""

    name: str
    facts: Mapping[str, Any]
    overrides: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A question to the toy.

    `measure`: the rows of a finished run; `facts`: what of a row names a line of the table, the
    setting's own facts first; `columns`: numbers, counted over seeds.  `config`: of
    config/train_rl; `overrides`: of every run; `draw`: rows to a picture.
    """

    name: str
    title: str
    settings: Sequence[Setting]
    measure: Callable[[Run], Sequence[Row]]
    facts: Sequence[str]
    columns: Sequence[str]
    config: str = "toy"
    overrides: Sequence[str] = ()
    draw: Callable[[Sequence[Row], Path], None] | None = None
    digits: Mapping[str, int] = field(default_factory=dict)  # of a column; else 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One run of a sweep; `more`: settings from the command line."""

    sweep: Sweep
    setting: Setting
    seed: int
    folder: Path
    more: Sequence[str] = ()

    def command(self) -> list[str]:
        """What starts it: the launcher, or the script itself where no engine is to be started."""
        settings = [*self.sweep.overrides, *self.setting.overrides, *self.more]
        alone = IN_PROCESS in settings
        start = [sys.executable, "train_rl.py"] if alone else [str(ROOT / "start_rl_training.sh")]
        return [
            *start,
            f"--config-name={self.sweep.config}",
            f"run_name={self.folder.name}",
            f"logging.save_dir={self.folder.parent}",
            f"seed={self.seed}",
            *settings,
        ]

    def rows(self) -> list[Row]:
        """Run it, unless it is finished, and read it; CalledProcessError if it fails."""
        if not (self.folder / "finished").exists():
            command = self.command()
            one_core = {"OMP_NUM_THREADS": "1"} if IN_PROCESS in command else {}
            with subprocess.Popen(command, cwd=ROOT, env=os.environ | one_core) as child:
                _running.add(child)
                code = child.wait()
            _running.discard(child)
            if code:
                raise subprocess.CalledProcessError(code, command)
        found = self.sweep.measure(open_run(self.folder))
        return [{**self.setting.facts, "seed": self.seed, **row} for row in found]


def planned(
    sweep: Sweep, folder: Path, seeds: Sequence[int], more: Sequence[str] = ()
) -> list[Planned]:
    """Every run of a sweep, a seed after the other."""
    return [
        Planned(
            sweep=sweep, setting=setting, seed=seed, folder=folder / f"{setting.name}-seed{seed}",
            more=more,
        )
        for seed in seeds
        for setting in sweep.settings
    ]  # fmt: skip


def results(runs: Sequence[Planned], jobs: int) -> Iterator[list[Row]]:
    """All rows that there are, setting by setting, each time that one more run has ended.

    A failure, or whatever else ends it, ends the runs that are under way; they can be gone on with.
    """
    order = list(dict.fromkeys(run.setting.name for run in runs))
    found: dict[tuple[int, int], list[Row]] = {}
    failed = Event()

    def rows(run: Planned) -> list[Row]:
        """Those of one run; after a failure nothing more is started."""
        if failed.is_set():
            return []
        try:
            return run.rows()
        except BaseException:
            failed.set()
            raise

    pool = ThreadPoolExecutor(jobs)
    try:
        work = {pool.submit(rows, run): run for run in runs}
        for done in as_completed(work):
            run = work[done]
            found[order.index(run.setting.name), run.seed] = done.result()
            yield [row for key in sorted(found) for row in found[key]]
    except BaseException:
        failed.set()
        for child in list(_running):
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def cell(values: Sequence[float | None], digits: int = 3) -> str:
    """Mean over seeds and half of its 95 % interval; how many seeds have none."""
    there = [value for value in values if value is not None]
    missing = f" ({len(values) - len(there)} never)" if len(there) < len(values) else ""
    if not there:
        return "never"
    found = mean_over_seeds(there)
    assert found.mean is not None
    half = "" if found.high is None else f" ± {found.high - found.mean:.{max(0, digits - 1)}f}"
    return f"{found.mean:.{digits}f}{half}{missing}"


def table(sweep: Sweep, rows: Sequence[Row]) -> Table:
    """A line for each combination of facts, in the order of the rows; each column over seeds."""
    found = Table(title=sweep.title)
    for name in (*sweep.facts, "seeds", *sweep.columns):
        found.add_column(name, justify="right")
    lines: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        lines[tuple(row[fact] for fact in sweep.facts)].append(row)
    for facts, mine in lines.items():
        cells = [cell([r[c] for r in mine], sweep.digits.get(c, 3)) for c in sweep.columns]
        found.add_row(*map(_fact, facts), str(len(mine)), *cells)
    return found


def times(run: Run) -> list[tuple[str, list[ConversationRecord]]]:
    """The held-out conversations of the first evaluation and of the last."""
    held = [r for r in run.records if r.split == "eval"]
    first = min(r.step for r in held)
    return [("before", [r for r in held if r.step == first]), ("after", run.final)]


def learnt(run: Run) -> Row:
    """What the last held-out conversations come to: solved, told, taught for real."""
    return {
        "solve": mean_of(run.final, solve_after).mean,
        "leak": mean_of(run.final, leaked).mean,
        "real_teaching": mean_of(run.final, teaches).mean,
    }


def _fact(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def curves(points: Sequence[Point], path: Path, x: str, y: str) -> None:
    """A panel for each first name, in it a line for each second: means, and seeds as dots."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "sweep", "svg.fonttype": "none"}
    from matplotlib import pyplot

    panels = list(dict.fromkeys(point[0] for point in points))
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 3.4), sharey=True, squeeze=False
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        lines: dict[str, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
        for _, line, at, value in (point for point in points if point[0] == panel):
            if value is not None:
                lines[line][at].append(value)
        for line, found in lines.items():
            [drawn] = axis.plot(list(found), [fmean(v) for v in found.values()], label=line)
            dots = [(at, value) for at, values in found.items() for value in values]
            axis.plot(*zip(*dots, strict=True), ".", color=drawn.get_color())
        axis.set(xlabel=x, title=panel)
    axes[0][0].set_ylabel(y)
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(sweep: Sweep, arguments: Sequence[str] | None = None) -> int:
    """The command of a sweep."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{sweep.name}")
    parser.add_argument("--json", type=Path, help="write the rows to this file, after each run")
    parser.add_argument("--picture", type=Path, help="draw them there (SVG)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / sweep.name)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, a core each")
    names = [setting.name for setting in sweep.settings]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="settings to run")
    parser.add_argument("overrides", nargs="*", help="settings of every run, as train.max_steps=50")
    options = parser.parse_args(arguments)
    runs = [
        run
        for run in planned(sweep, options.runs, options.seeds, options.overrides)
        if run.setting.name in options.only
    ]
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its runs end with it
    rows: list[Row] = []
    try:
        for rows in results(runs, options.jobs):
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    finally:
        signal.signal(signal.SIGTERM, before)
    console = output()
    console.print(table(sweep, rows))
    if options.picture and sweep.draw:
        sweep.draw(rows, options.picture)
    page = write_report([open_run(run.folder) for run in runs], options.runs / REPORT_NAME)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    return 0
