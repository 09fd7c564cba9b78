"""The toy classroom under four kinds of credit: how soon it learns, and what; three seeds each.

    python -m benchmarks.credit_sweep [OVERRIDE ...] [--json FILE] [--seeds 1 2 3] [--turns 5 11]

Every run is `./start_rl_training.sh --config-name toy` with a kind of credit, a number of messages
and a seed, in `runs/credit_sweep/`; a finished run is skipped, an interrupted one goes on.
"Conversations until" is when the mean reward of three batches in a row first reaches a mark.
The rest comes from the last evaluation on held-out problems.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from toy.world import teaches
from utils.metrics.conversation import leaked, mean_of, solve_after
from utils.metrics.statistics import mean_over_seeds
from utils.report.write import REPORT_NAME, write_report
from utils.runs.read import Run, open_run

ROOT = Path(__file__).resolve().parents[1]
RULES = ("+generation.turn_rules.leak=matcher", "generation.failed_turn=penalise")
KINDS: dict[str, tuple[str, ...]] = {
    "conversation": (),
    "turn": ("train.credit=turn", "train.baseline=leave_one_out", *RULES),
    "per_reward": ("train.advantages=per_reward",),
    "both": (
        "train.credit=turn",
        "train.baseline=leave_one_out",
        "train.advantages=per_reward",
        *RULES,
    ),
}
SEEDS, TURNS = (1, 2, 3), (5, 11)  # messages: three tutor turns, and six
MARK, WINDOW = 0.9, 3
COLUMNS = ("until", "solve", "leak", "real_teaching", "tutor_turns")
Row = dict[str, Any]


def train(folder: Path, kind: str, turns: int, seed: int, overrides: Sequence[str]) -> None:
    """One run, unless it is finished; CalledProcessError if it fails."""
    if (folder / "finished").exists():
        return
    command = [
        str(ROOT / "start_rl_training.sh"),
        "--config-name=toy",
        f"run_name={folder.name}",
        f"logging.save_dir={folder.parent}",
        f"seed={seed}",
        f"generation.max_turns={turns}",
        *KINDS[kind],
        *overrides,
    ]
    subprocess.run(command, check=True, cwd=ROOT)


def conversations_until(run: Run, mark: float = MARK, window: int = WINDOW) -> int | None:
    """Training conversations held when the mean reward of `window` batches first reaches `mark`.

    None where it never does.
    """
    rewards: dict[int, list[float]] = defaultdict(list)
    held: dict[int, int] = defaultdict(int)
    for record in run.records:
        if record.split == "train":
            held[record.step] += 1
            if record.rewards:
                rewards[record.step].append(record.rewards["total"])
    steps = sorted(rewards)
    for last in range(window, len(steps) + 1):
        shown = steps[last - window : last]
        if fmean(fmean(rewards[step]) for step in shown) >= mark:
            return sum(n for step, n in held.items() if step <= shown[-1])
    return None


def result(folder: Path, kind: str, turns: int, seed: int) -> Row:
    """One row: when the mark was reached, and means over the last held-out conversations."""
    run = open_run(folder)
    spoken = mean_of(run.final, lambda r: float(sum(m.role == "teacher" for m in r.messages)))
    return {
        "kind": kind,
        "messages": turns,
        "seed": seed,
        "until": conversations_until(run),
        "solve": mean_of(run.final, solve_after).mean,
        "leak": mean_of(run.final, leaked).mean,
        "real_teaching": mean_of(run.final, teaches).mean,
        "tutor_turns": spoken.mean,
    }


def cell(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    """Mean over seeds and its 95 % half-width; how many never reached the mark."""
    values = [row[column] for row in rows if row[column] is not None]
    missing = f" ({len(rows) - len(values)} never)" if len(values) < len(rows) else ""
    if not values:
        return "never"
    mean, digits = mean_over_seeds(values), 0 if column == "until" else 3
    assert mean.mean is not None
    half = "" if mean.high is None else f" ± {mean.high - mean.mean:.{max(0, digits - 1)}f}"
    return f"{mean.mean:.{digits}f}{half}{missing}"


def table(rows: Sequence[Row]) -> Table:
    """A line for each kind of credit and number of messages."""
    settings: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        settings[row["messages"], row["kind"]].append(row)
    found = Table(title=f"toy classroom: conversations until reward {MARK}, and what was learnt")
    for name in ("messages", "credit", "seeds", *COLUMNS):
        found.add_column(name, justify="left" if name == "credit" else "right")
    for (turns, kind), runs in settings.items():
        found.add_row(str(turns), kind, str(len(runs)), *(cell(runs, c) for c in COLUMNS))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.credit_sweep", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file, after each run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "credit_sweep")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--turns", type=int, nargs="+", default=TURNS, help="messages at most")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("overrides", nargs="*", help="settings of every run, as train.max_steps=50")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    folders: list[Path] = []
    for turns in options.turns:
        for kind in options.kinds:
            for seed in options.seeds:
                folder = options.runs / f"{kind}-{turns}-seed{seed}"
                train(folder, kind, turns, seed, options.overrides)
                rows.append(result(folder, kind, turns, seed))
                folders.append(folder)
                if options.json:
                    text = json.dumps(rows, indent=1)
                    options.json.write_text(text + "\n", encoding="utf-8")
    console = Console()
    console.print(table(rows))
    page = write_report([open_run(f) for f in folders], options.runs / REPORT_NAME)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
