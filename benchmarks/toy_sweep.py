"""The toy classroom at several penalties: solve rate against leaks, three seeds each.

    python -m benchmarks.toy_sweep [OVERRIDE ...] [--json FILE] [--seeds 1 2 3]

Every run is `./start_rl_training.sh --config-name toy` with a penalty, a mode and a seed, in
`runs/toy_sweep/`; a finished run is skipped, an interrupted one goes on.  What is reported comes
from the last evaluation on held-out problems.  Overrides go to every run, as
`engines.backend=transformers`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from toy.world import teaches
from utils.metrics.conversation import leaked, mean_of, solve_after
from utils.metrics.statistics import mean_over_seeds
from utils.report.write import REPORT_NAME, write_report
from utils.runs.read import open_run

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ((0.0, False), (0.1, False), (0.25, False), (0.75, False), (0.75, True))
SEEDS = (1, 2, 3)
COLUMNS = ("solve", "leak", "real_teaching", "turns", "seconds")


def run_name(penalty: float, hard: bool, seed: int) -> str:
    return f"lambda{penalty:g}{'-hard' if hard else ''}-seed{seed}"


def train(folder: Path, penalty: float, hard: bool, seed: int, overrides: Sequence[str]) -> None:
    """One run, unless it is finished; CalledProcessError if it fails."""
    if (folder / "finished").exists():
        return
    command = [
        str(ROOT / "start_rl_training.sh"),
        "--config-name=toy",
        f"run_name={folder.name}",
        f"logging.save_dir={folder.parent}",
        f"seed={seed}",
        f"generation.extra_penalty_for_rejected_judges={penalty}",
        f"generation.ignore_rejected_judge={str(not hard).lower()}",
        *overrides,
    ]
    subprocess.run(command, check=True, cwd=ROOT)


def result(folder: Path, penalty: float, hard: bool, seed: int) -> dict[str, Any]:
    """One row: means over the conversations that the run is judged by."""
    run = open_run(folder)
    seconds = (folder / "finished").stat().st_mtime - (folder / "config.yaml").stat().st_mtime
    return {
        "lambda": penalty,
        "hard": hard,
        "seed": seed,
        "solve": mean_of(run.final, solve_after).mean,
        "leak": mean_of(run.final, leaked).mean,
        "real_teaching": mean_of(run.final, teaches).mean,
        "turns": mean_of(run.final, lambda r: float(len(r.messages))).mean,
        "seconds": round(seconds, 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Mean over seeds and its 95 % half-width, a line for each setting."""
    settings: dict[tuple[float, bool], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        settings[row["lambda"], row["hard"]].append(row)
    found = Table(title="toy classroom, held-out problems: mean over seeds ± 95 %")
    for name in ("lambda", "seeds", *COLUMNS):
        found.add_column(name, justify="right")
    for (penalty, hard), runs in settings.items():
        cells = [f"{penalty:g}{' hard' if hard else ''}", str(len(runs))]
        for column in COLUMNS:
            mean = mean_over_seeds([run[column] for run in runs])
            half = (
                "" if mean.high is None or mean.mean is None else f" ± {mean.high - mean.mean:.2f}"
            )
            cells.append(f"{mean.mean:.3f}{half}" if column != "seconds" else f"{mean.mean:.0f}")
        found.add_row(*cells)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.toy_sweep", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file, after each run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "toy_sweep")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("overrides", nargs="*", help="settings of every run, as train.max_steps=50")
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for penalty, hard in SETTINGS:
        for seed in options.seeds:
            folder = options.runs / run_name(penalty, hard, seed)
            train(folder, penalty, hard, seed, options.overrides)
            rows.append(result(folder, penalty, hard, seed))
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    console = Console()
    console.print(table(rows))
    folders = [options.runs / run_name(p, h, s) for p, h in SETTINGS for s in options.seeds]
    page = write_report([open_run(f) for f in folders], options.runs / REPORT_NAME)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
