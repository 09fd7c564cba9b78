"""Compare two runs on the problems that both have: paired differences, and what changed.

    python -m utils.compare RUN_A RUN_B [--json FILE] [--show 20]
    python -m utils.compare RUN... --leaderboard md|csv|html [--by METRIC]

A difference is B minus A, per problem, averaged over problems; its interval is Student's, or
Wilson's for differences of shares.  Runs
with the same seed hold the same conversation types, names and personas for the same problems, so
pairing removes most of the noise between problems.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.errors import ConfigError
from utils.gains import rate_afterwards
from utils.leaderboard import BY, FORMATS, rank
from utils.metrics.conversation import (
    HEADLINE,
    Metric,
    conversation_metrics,
    is_share,
    normalised_gains,
    write_json,
)
from utils.metrics.post_tests import OF_TRANSFER
from utils.metrics.statistics import (
    MIN_CLUSTERS,
    Estimate,
    mean_over_seeds,
    paired_difference,
)
from utils.metrics.verdicts import leaked_any, rejected_any
from utils.records import ConversationRecord
from utils.report.terminal import output, plain
from utils.runs.read import Run, open_run

#: `ped_rm_micro` is a mean over turns, and turns of two runs are no pairs.
COMPARED = (
    *(name for name in HEADLINE if name != "ped_rm_micro"),
    "solve_after_accepted",
    "delta_accepted",
    *OF_TRANSFER,
    "solve_transfer_accepted",
    "tutor_tokens",
    "reward_total",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One conversation that came out otherwise in B than in A."""

    problem_id: str
    sample: int
    problem: str
    what: tuple[str, ...]
    solve_a: float | None
    solve_b: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric: both means on the shared problems, and the paired difference."""

    name: str
    a: float
    b: float
    difference: Estimate

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero, on problems enough to trust it."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or self.difference.clusters < MIN_CLUSTERS:
            return False
        return low > 0 or high < 0


def compare(a: Run, b: Run) -> tuple[list[Row], list[Change]]:
    """Paired differences by metric, and the conversations that changed, largest change first.

    Raises ConfigError where the runs share no problem, or where one id names two problems.
    """
    first, second = _by_problem(a.final), _by_problem(b.final)
    shared = [problem for problem in first if problem in second]
    if not shared:
        raise ConfigError(f"{a.name} and {b.name} share no problem_id: nothing can be paired")
    for problem in shared:
        if first[problem][0].problem != second[problem][0].problem:
            raise ConfigError(f"problem_id {problem}: not one problem in {a.name} and {b.name}")
    left = [r for p in shared for r in first[p]]
    right = [r for p in shared for r in second[p]]
    return _rows(left, right), _changes(left, right)


def _by_problem(records: Sequence[ConversationRecord]) -> dict[str, list[ConversationRecord]]:
    found: dict[str, list[ConversationRecord]] = defaultdict(list)
    for record in records:
        found[record.problem_id].append(record)
    return found


def _pairs(records: Sequence[ConversationRecord], metric: Metric) -> list[tuple[str, float]]:
    values = ((r.problem_id, metric(r)) for r in records)
    return [(problem, value) for problem, value in values if value is not None]


def _rows(left: Sequence[ConversationRecord], right: Sequence[ConversationRecord]) -> list[Row]:
    metrics = conversation_metrics([*left, *right])
    metrics["ped_rm_macro"] = lambda r: fmean(r.ped_rm) if r.ped_rm else None
    rows = []
    for name in COMPARED:
        if name == "normalised_gain":
            one, two = list(normalised_gains(left).items()), list(normalised_gains(right).items())
        elif name in metrics:
            one, two = _pairs(left, metrics[name]), _pairs(right, metrics[name])
        else:
            continue
        difference = paired_difference(one, two, share=is_share(name))
        if difference.n:
            both = {p for p, _ in one} & {p for p, _ in two}
            means = [_mean_by_problem(side, both) for side in (one, two)]
            rows.append(Row(name=name, a=means[0], b=means[1], difference=difference))
    return rows


def _mean_by_problem(pairs: Sequence[tuple[str, float]], kept: set[str]) -> float:
    values: dict[str, list[float]] = defaultdict(list)
    for problem, value in pairs:
        if problem in kept:
            values[problem].append(value)
    return mean_over_seeds([fmean(v) for v in values.values()]).mean or 0.0


def _changes(
    left: Sequence[ConversationRecord], right: Sequence[ConversationRecord]
) -> list[Change]:
    others = {(r.problem_id, r.sample): r for r in right}
    changes = []
    for one in left:
        two = others.get((one.problem_id, one.sample))
        if two is None:
            continue
        solve_a, solve_b = rate_afterwards(one), rate_afterwards(two)
        what = [
            f"{name}: {'no' if old == 0 else 'yes'} -> {'no' if new == 0 else 'yes'}"
            for name, metric in (("leaked", leaked_any), ("rejected", rejected_any))
            if (old := metric(one)) is not None and (new := metric(two)) is not None and old != new
        ]
        if solve_a is not None and solve_b is not None and (solve_a >= 0.5) != (solve_b >= 0.5):
            what.insert(0, f"solve: {solve_a:.2f} -> {solve_b:.2f}")
        if what:
            changes.append(
                Change(
                    problem_id=one.problem_id,
                    sample=one.sample,
                    problem=one.problem,
                    what=tuple(what),
                    solve_a=solve_a,
                    solve_b=solve_b,
                )
            )
    return sorted(changes, key=lambda c: (-abs((c.solve_b or 0) - (c.solve_a or 0)), c.problem_id))


def to_json(a: Run, b: Run, rows: Sequence[Row], changes: Sequence[Change]) -> dict[str, Any]:
    """The content of --json."""
    return {
        "a": a.name,
        "b": b.name,
        "metrics": {
            row.name: {"a": row.a, "b": row.b, "difference": row.difference.to_json()}
            for row in rows
        },
        "changed": [asdict(change) for change in changes],
    }


def _differing_settings(a: Mapping[str, Any], b: Mapping[str, Any], at: str = "") -> list[str]:
    """Settings in which two resolved configs differ, `key: a -> b`."""
    lines: list[str] = []
    for key in sorted({*a, *b}):
        one, two = a.get(key), b.get(key)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            lines += _differing_settings(one, two, f"{at}{key}.")
        elif one != two:
            lines.append(f"{at}{key}: {one} -> {two}")
    return lines


def show(
    a: Run, b: Run, rows: Sequence[Row], changes: Sequence[Change], limit: int, console: Console
) -> None:
    """Print settings that differ, the table of differences, and the largest changes."""
    for line in _differing_settings(a.config, b.config):
        console.print(Text(f"setting {plain(line)}"))
    table = Table(title=Text(f"{plain(b.name)} minus {plain(a.name)}"), title_justify="left")
    for name in ("metric", "A", "B", "B - A ± se", "95 % interval", "problems", ""):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for row in rows:
        d = row.difference
        spread = f"{d.mean:+.3f}" + ("" if d.se is None else f" ± {d.se:.3f}")
        interval = "-" if d.low is None else f"[{d.low:+.3f}, {d.high:+.3f}]"
        mark = "*" if row.clear else ""
        table.add_row(row.name, f"{row.a:.3f}", f"{row.b:.3f}", spread, interval, str(d.n), mark)
    console.print(table)
    console.print(
        Text(
            f"* the interval leaves out zero, on at least {MIN_CLUSTERS} problems "
            "(no correction for several metrics)"
        )
    )
    for run in (a, b):
        if any(r.accepted_only for r in run.final) and not any(
            r.name == "solve_after" for r in rows
        ):
            console.print(
                Text(
                    f"solve_after, delta: not compared; {plain(run.name)} solved only what its "
                    "judges accepted (generation.solve_rejected_share=0)"
                )
            )
    console.print(Text(f"{len(changes)} conversations came out otherwise"))
    for change in changes[:limit]:
        what = "; ".join(change.what)
        where = f"{plain(change.problem_id, 40)}#{change.sample}"
        console.print(Text(f"  {where}  {what}  {plain(change.problem, 60)}"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m utils.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--json", type=Path, help="also write the comparison to this file")
    parser.add_argument("--show", type=int, default=20, help="changed conversations to list")
    parser.add_argument("--leaderboard", choices=sorted(FORMATS), help="rank two or more runs")
    parser.add_argument("--by", default=BY, help=f"the metric that ranks (default: {BY})")
    options = parser.parse_args(arguments)
    try:
        runs = [open_run(path) for path in options.runs]
        if options.leaderboard:
            print(FORMATS[options.leaderboard](rank(runs, options.by)), end="")
            return 0
        if len(runs) != 2:
            raise ConfigError("name two runs; more can be ranked (--leaderboard md)")
        a, b = runs
        rows, changes = compare(a, b)
    except (ConfigError, ValueError) as error:
        print(f"utils.compare: {plain(error, 500)}", file=sys.stderr)
        return 2
    show(a, b, rows, changes, options.show, output())
    if options.json:
        write_json(options.json, to_json(a, b, rows, changes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
