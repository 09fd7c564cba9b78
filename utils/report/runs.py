"""What the report says of whole runs: their names, curves, points of the solve/leak plane."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from config.schema import EvalConfig, TrainRLConfig
from utils.metrics.conversation import (
    Metric,
    conversation_metrics,
    is_share,
    is_signed,
    named_mean,
)
from utils.metrics.judges.calibration_file import kept_calibrations
from utils.metrics.monitors import MONITORS
from utils.metrics.results import run_results
from utils.metrics.sessions import is_session_curve
from utils.metrics.statistics import NOTHING, Estimate, mean_over_seeds, pareto_front
from utils.records import ConversationRecord
from utils.runs.differences import with_defaults
from utils.runs.read import Run

HEIGHTS = ("solve_after", "delta", "solve_transfer", "gain_transfer")  # of the plane
PAPER_FILE = Path(__file__).parent / "assets" / "paper_points.json"
#: Settings that make no other experiment: repetitions of one setting differ in these.
_NO_EXPERIMENT = {"seed", "run_name", "logging", "engines", "huggingface"}
#: Which section of a config says whose settings it has.
_KEYS: dict[type[Any], tuple[str]] = {TrainRLConfig: ("train",), EvalConfig: ("eval",)}
_LAMBDA = "generation.extra_penalty_for_rejected_judges"
_SOFT = "generation.ignore_rejected_judge"
_BY_STEP = (
    "solve_before",
    "solve_after",
    "solve_after_accepted",
    "solve_transfer",
    "gain_transfer",
    "transfer_gap",
    "leaked",
    "rejected",
    "leaked_any",
    "rejected_any",
    "missing",
    "turns",
    "tutor_tokens",
)


def flat(config: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """{"a.b": value} of a nested config; lists stay whole, as JSON."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{at}{key}.")
        else:
            found[f"{at}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return found


def experiment(run: Run) -> dict[str, Any]:
    """The settings that make a run the experiment it is; by name where it kept no config.

    A setting that the run's version did not have counts as its default.
    """
    kept = {k: v for k, v in run.config.items() if k not in _NO_EXPERIMENT}
    schema = next((s for s in (TrainRLConfig, EvalConfig) if set(_KEYS[s]) & kept.keys()), None)
    if schema is not None:
        whole = with_defaults(run.config, schema())
        kept = {k: _plain(v) for k, v in whole.items() if k not in _NO_EXPERIMENT}
    return flat(kept) or {"run": run.name}


def _plain(value: Any) -> Any:
    """A setting as YAML has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def labels(runs: Sequence[Run]) -> list[str]:
    """A short label for each run: the settings in which the runs differ; else its name."""
    settings = [experiment(run) for run in runs]
    keys = sorted({key for each in settings for key in each})
    differing = [k for k in keys if len({str(each.get(k)) for each in settings}) > 1]
    return [
        ", ".join(_said(key, each.get(key)) for key in differing if key in each) or run.name
        for run, each in zip(runs, settings, strict=True)
    ]


def _said(key: str, value: Any) -> str:
    if key == _LAMBDA:
        return f"λ={value:g}" if isinstance(value, int | float) else f"λ={value}"
    if key == _SOFT:
        return "soft" if value else "hard"
    text = str(value)
    return f"{key.rsplit('.', 1)[-1]}={text if len(text) < 40 else '…' + text[-38:]}"


def describe(run: Run, label: str) -> dict[str, Any]:
    """One run for the page."""
    return {
        "name": run.name,
        "label": label,
        "kind": "train" if any(r.split == "train" for r in run.records) else "eval",
        "conversations": len(run.records),
        "metrics": run_results(run),
        "curves": curves(run),
        "path": path_in_plane(run.records),
        "settings": [[k, str(v)] for k, v in flat(run.config).items()],
        "calibrations": kept_calibrations(run.folder),
    }


def curves(run: Run) -> list[dict[str, Any]]:
    """Learning curves: from the record by split and step, then every number of metrics.jsonl.

    A point is [step, mean, low, high]; low and high are None where there is no interval.
    """
    found: list[dict[str, Any]] = []
    for split in ("train", "eval"):
        by_step: dict[int, list[ConversationRecord]] = defaultdict(list)
        for r in run.records:
            if r.split == split:
                by_step[r.step].append(r)
        if len(by_step) > 1:
            found += _record_curves(run, dict(sorted(by_step.items())), split)
    return found + _logged_curves(run.curve)


def _record_curves(
    run: Run, by_step: Mapping[int, list[ConversationRecord]], split: str
) -> list[dict[str, Any]]:
    metrics: dict[str, Metric] = conversation_metrics(run.records)
    wanted = [name for name in _BY_STEP if name in metrics]  # of accepted ones: where there are
    wanted += [n for n in metrics if n.startswith("reward_") or is_session_curve(n)]
    found = []
    for name in wanted:
        points = [
            _point(step, named_mean(rows, metrics[name], name)) for step, rows in by_step.items()
        ]
        found.append({"name": name, "from": split, "points": [p for p in points if p]})
    for monitor in MONITORS:
        points = [_point(step, monitor.value(rows)) for step, rows in by_step.items()]
        found.append({"name": monitor.name, "from": split, "points": [p for p in points if p]})
    return [curve for curve in found if len(curve["points"]) > 1]


def _point(step: int, estimate: Estimate) -> list[float | None] | None:
    if estimate.mean is None:
        return None
    return [step, *(_short(v) for v in (estimate.mean, estimate.low, estimate.high))]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _logged_curves(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    series: dict[str, list[list[float | None]]] = defaultdict(list)
    for row in rows:
        for key, value in row.items():
            if key == "step" or key.startswith("eval_"):  # those are drawn from the record
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if "step" in row and number and abs(value) < float("inf"):
                series[key].append([row["step"], _short(float(value)), None, None])
    return [
        {"name": name, "from": "log", "points": points}
        for name, points in sorted(series.items())
        if len(points) > 1
    ]


def path_in_plane(records: Sequence[ConversationRecord], windows: int = 12) -> list[list[float]]:
    """A training run's way through the plane: [step, leaked, solved] in equal windows of steps."""
    trained = [r for r in records if r.split == "train"]
    steps = sorted({r.step for r in trained})
    if len(steps) < 4:
        return []
    metrics = conversation_metrics(trained)
    size = max(1, -(-len(steps) // windows))
    way = []
    for start in range(0, len(steps), size):
        part = set(steps[start : start + size])
        rows = [r for r in trained if r.step in part]
        leak, solve = (
            named_mean(rows, metrics[name], name).mean for name in ("leaked", "solve_after")
        )
        if leak is not None and solve is not None:
            way.append([max(part), round(leak, 4), round(solve, 4)])
    return way


def plane(runs: Sequence[Run], described: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Points of the solve/leak plane, one per experiment; repetitions by seed become an interval.

    A single run keeps its own interval, clustered by problem.  `front` marks the Pareto front of
    each height: less leaking, more solving.  Each described run is told its point (`group`).
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, run in enumerate(runs):
        groups[json.dumps(experiment(run), sort_keys=True, default=str)].append(index)
    points: list[dict[str, Any]] = []
    for members in groups.values():
        for index in members:
            described[index]["group"] = len(points)
        point: dict[str, Any] = {"label": described[members[0]]["label"], "runs": members}
        for name in ("leaked", *HEIGHTS):
            entries = [described[i]["metrics"].get(name, NOTHING.to_json()) for i in members]
            point[name] = _over_seeds(entries, name)
            point[f"{name}_each"] = [e["mean"] for e in entries]
        points.append(point)
    for height in HEIGHTS:
        able = [p for p in points if p["leaked"] and p[height]]
        front = pareto_front([(p["leaked"][0], p[height][0]) for p in able])
        for order, index in enumerate(front):
            able[index].setdefault("front", {})[height] = order
    return points


def _over_seeds(entries: Sequence[Mapping[str, Any]], name: str) -> list[float | None] | None:
    """[mean, low, high] of one metric over repetitions."""
    means = [e["mean"] for e in entries if e["mean"] is not None]
    if not means:
        return None
    if len(means) == 1:
        only = next(e for e in entries if e["mean"] is not None)
        return [only["mean"], only["low"], only["high"]]
    over = mean_over_seeds(means, share=is_share(name), signed=is_signed(name))
    return [over.mean, over.low, over.high]


def paper_points() -> dict[str, Any]:
    """The paper's table 2 as points, with its source."""
    content: dict[str, Any] = json.loads(PAPER_FILE.read_text(encoding="utf-8"))
    return content
