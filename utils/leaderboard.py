"""Several runs in order of one metric: ranks with intervals, ties said; as Markdown, CSV or HTML.

Only problems that every run has count.  A run is clearly better than another one where the
interval of their paired difference leaves out zero, on MIN_CLUSTERS problems at least.  A rank's
interval runs from 1 + how many are clearly better to n - how many are clearly worse; runs of which
neither is clearly better are tied.  There is no correction for several pairs.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from config.errors import ConfigError
from utils.metrics.conversation import conversation_metrics, is_share, more_is_better, named_mean
from utils.metrics.statistics import MIN_CLUSTERS, Estimate, paired_difference
from utils.records import ConversationRecord
from utils.report.page import ASSETS, document
from utils.report.terminal import plain
from utils.runs.read import Run

BY = "solve_after"
BESIDE = ("solve_before", "solve_after", "delta", "leaked", "rejected", "reward_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One run's row.  `tied`: the other runs that it is not clearly apart from."""

    rank: int
    best: int
    worst: int
    name: str
    conversations: int
    metrics: dict[str, Estimate]
    tied: tuple[str, ...]

    @property
    def ranks(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The table: places in order of `by`, on `problems` that all runs share."""

    by: str
    problems: int
    places: list[Place]

    @property
    def columns(self) -> list[str]:
        """The metrics that any run has, the one that orders them first."""
        names = [self.by, *(name for name in BESIDE if name != self.by)]
        return [n for n in names if any(p.metrics[n].mean is not None for p in self.places)]

    @property
    def note(self) -> str:
        """What a reader of the ranks should know."""
        way = "more" if more_is_better(self.by) else "less"
        few = f" Fewer than {MIN_CLUSTERS} problems: none is called better." * (
            self.problems < MIN_CLUSTERS
        )
        return (
            f"In order of {self.by} ({way} is better), on {self.problems} problems that all runs "
            "share. A rank a-b: a - 1 runs are clearly better, and the runs after b clearly worse; "
            "tied runs are not clearly apart (95 % interval of the paired difference, no "
            f"correction for several pairs). Values: mean [95 % interval].{few}"
        )


def rank(runs: Sequence[Run], by: str = BY) -> Board:
    """The runs in order of a metric.  Raises ConfigError where they cannot be ranked by it."""
    kept = _on_shared_problems(runs)
    metrics = conversation_metrics([r for rows in kept for r in rows])
    if by not in metrics:
        raise ConfigError(f"--by: {by!r} is none of {', '.join(metrics)}")
    columns = [by, *(name for name in BESIDE if name != by)]
    means = [
        {name: named_mean(rows, metrics[name], name) for name in columns if name in metrics}
        for rows in kept
    ]
    for run, found in zip(runs, means, strict=True):
        if found[by].mean is None:
            raise ConfigError(f"--by: {plain(run.name)} has no {by} on the shared problems")
    pairs = [
        [(r.problem_id, v) for r in rows if (v := metrics[by](r)) is not None] for rows in kept
    ]
    sign = 1 if more_is_better(by) else -1

    def ahead(i: int, j: int) -> int:
        """1: i is clearly better than j; -1: clearly worse; 0: tied."""
        d = paired_difference(pairs[j], pairs[i], share=is_share(by))
        if d.low is None or d.high is None or d.clusters < MIN_CLUSTERS:
            return 0
        return sign * ((d.low > 0) - (d.high < 0))

    numbers = range(len(runs))
    apart = {(i, j): ahead(i, j) for i in numbers for j in numbers if i != j}
    score = [sign * (found[by].mean or 0.0) for found in means]
    nothing = Estimate(mean=None, se=None, n=0)
    places = [
        Place(
            rank=1 + sum(other > score[i] for other in score),
            best=1 + sum(apart[i, j] < 0 for j in numbers if j != i),
            worst=len(runs) - sum(apart[i, j] > 0 for j in numbers if j != i),
            name=runs[i].name,
            conversations=len(kept[i]),
            metrics={name: means[i].get(name, nothing) for name in columns},
            tied=tuple(runs[j].name for j in numbers if j != i and not apart[i, j]),
        )
        for i in sorted(numbers, key=lambda i: (-score[i], runs[i].name))
    ]
    problems = len({r.problem_id for r in kept[0]})
    return Board(by=by, problems=problems, places=places)


def _on_shared_problems(runs: Sequence[Run]) -> list[list[ConversationRecord]]:
    """Each run's final conversations about problems that all runs have."""
    if len(runs) < 2:
        raise ConfigError("--leaderboard: name at least two runs")
    texts = [{r.problem_id: r.problem for r in run.final} for run in runs]
    shared = reduce(lambda found, each: found & each.keys(), texts[1:], set(texts[0]))
    if not shared:
        raise ConfigError("--leaderboard: no problem_id is in all of these runs")
    for problem in sorted(shared):
        if len({each[problem] for each in texts}) > 1:
            raise ConfigError(f"--leaderboard: problem_id {problem} is not one problem in all runs")
    return [[r for r in run.final if r.problem_id in shared] for run in runs]


def said(estimate: Estimate) -> str:
    """`mean [low, high]`, or a dash."""
    if estimate.mean is None:
        return "-"
    ends = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.mean:.3f}{ends}"


def _rows(board: Board) -> tuple[list[str], list[list[str]]]:
    head = ["rank", "run", *board.columns, "conversations", "tied with"]
    return head, [
        [
            place.ranks,
            plain(place.name),
            *(said(place.metrics[name]) for name in board.columns),
            str(place.conversations),
            ", ".join(map(plain, place.tied)) or "-",
        ]
        for place in board.places
    ]


def as_markdown(board: Board) -> str:
    """A table in GitHub's Markdown, and its note."""
    head, rows = _rows(board)
    lines = [head, ["---"] * len(head), *([c.replace("|", "\\|") for c in row] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{board.note}\n"


def as_csv(board: Board) -> str:
    """One row a run, numbers in full; each metric has its mean, low and high."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = [f"{name}{end}" for name in board.columns for end in ("", "_low", "_high")]
    writer.writerow(
        ["rank", "rank_best", "rank_worst", "run", *ends, "problems", "conversations", "tied_with"]
    )
    for place in board.places:
        found = [place.metrics[name] for name in board.columns]
        numbers = [value for e in found for value in (e.mean, e.low, e.high)]
        row = [place.rank, place.best, place.worst, plain(place.name), *numbers]
        writer.writerow(
            [*row, board.problems, place.conversations, ";".join(map(plain, place.tied))]
        )
    return text.getvalue()


def as_html(board: Board) -> str:
    """A page of its own in the report's look; it runs nothing."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>\n"

    head, rows = _rows(board)
    body = (
        '<header class="top"><h1>Leaderboard</h1></header>\n<main>\n'
        f'<p class="lead">{html.escape(board.note)}</p>\n<div class="scroll" tabindex="0">'
        f'<table class="runs"><thead>{line(head, "th")}</thead>\n<tbody>'
        f"{''.join(line(row, 'td') for row in rows)}</tbody></table></div>\n</main>\n"
    )
    return document("Leaderboard", [ASSETS / "page.css"], [], body)


FORMATS: dict[str, Callable[[Board], str]] = {
    "md": as_markdown,
    "csv": as_csv,
    "html": as_html,
}
