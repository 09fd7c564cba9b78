"""Measures ours against the plain algorithm on this machine.

    python -m benchmarks [NAME ...] [--json FILE] [--repeats N] [--against FILE]

Without names, all of them.  The table says what each must reach and whether it does; the file holds
a list of {name, unit, ours, theirs, ratio, limit, of_limit, repeats, spread, commit}.  `--against`
an earlier one: the exit code is 1 where something became slower beyond the spread.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.speed.against import changes, not_compared, read_results
from benchmarks.speed.results import Result, Skipped
from benchmarks.speed.rollout import LONG_TURNS
from utils.runs.folder import git_revision
from utils.runs.process import quick_imports, short_barriers


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A function, as `module:name` (`measure`, if it is not said), and what it must reach.

    It is called with the benchmark's name, the repeats and `arguments`.
    """

    function: str
    arguments: tuple[Any, ...] = ()
    repeats: int = 3
    target: str = ""
    reached: Callable[[Result], bool] | None = None


def at_least(ratio: float = 0.0, of_limit: float = 0.0) -> dict[str, Any]:
    parts = [f"{ratio:g} x theirs"] * bool(ratio) + [f"{of_limit:.0%} of the limit"] * bool(
        of_limit
    )

    def reached(result: Result) -> bool:
        return (result.ratio or 0.0) >= ratio and (result.of_limit or 0.0) >= of_limit

    return {"target": ", ".join(parts), "reached": reached}


def below(most: float, unit: str) -> dict[str, Any]:
    return {"target": f"under {most:g} {unit}", "reached": lambda result: result.ours < most}


def _step(what: str, model: str, ratio: float, *, checkpointing: bool = False) -> Benchmark:
    arguments = (what, model, checkpointing)
    return Benchmark("trainer", arguments, repeats=2, **at_least(ratio=ratio))


SMOLLM2, TOY = "embedded:smollm2-135m-instruct", "toy/checkpoints/tutor"
BENCHMARKS = {
    "makespan_16": Benchmark("makespan", (16,), **at_least(of_limit=0.85)),
    "makespan_32": Benchmark("makespan", (32,), **at_least(of_limit=0.85)),
    "makespan_80": Benchmark("makespan", (80,), **at_least(of_limit=0.95)),
    "makespan_128": Benchmark("makespan", (128,), **at_least(ratio=3.0, of_limit=0.95)),
    "rollout_vllm": Benchmark("rollout:wall_time", **at_least(ratio=1.5)),
    "prefix_cache": Benchmark("rollout:prefix_hits", repeats=1, **at_least(of_limit=0.9)),
    "solutions_together": Benchmark(
        "rollout:solutions_together", repeats=2, **at_least(ratio=1.25)
    ),
    "weight_handoff": Benchmark("hand_off", **at_least(ratio=20.0, of_limit=1 / 3)),
    "trainer_step": _step("seconds", SMOLLM2, 2.0),
    "trainer_memory": _step("bytes", SMOLLM2, 1 / 0.55),
    "trainer_step_checkpointed": _step("seconds", SMOLLM2, 2.5, checkpointing=True),
    "trainer_memory_checkpointed": _step("bytes", SMOLLM2, 2.0, checkpointing=True),
    "trainer_step_toy": _step("seconds", TOY, 2.0),
    "trainer_memory_toy": _step("bytes", TOY, 1 / 0.55),
    "attribution": Benchmark("attribution", **below(1.0, "ms")),
    "judge_requests": Benchmark("judging:judge_requests", repeats=1, **at_least(of_limit=1.0)),
    "reject_recall": Benchmark("judging:reject_recall", repeats=1, **at_least(of_limit=1.0)),
    "update_toy": Benchmark("update", ("toy", "plain"), **at_least(ratio=3.0)),
    "update_toy_alive": Benchmark("update", ("toy", "alive"), **at_least(ratio=1.5)),
    "update_smollm2": Benchmark("update", ("smollm2", "plain"), repeats=1, **at_least(ratio=3.0)),
    "update_smollm2_alive": Benchmark(
        "update", ("smollm2", "alive"), repeats=1, **at_least(ratio=1.5)
    ),
    "update_smollm2_uneven": Benchmark(  # half a batch, since the padded way takes so long
        "update",
        ("smollm2", "alive", *LONG_TURNS, "train.number_of_problems_per_batch=2"),
        repeats=1,
        **at_least(ratio=1.5),
    ),
    "client_overhead": Benchmark("client", **below(0.5, "ms")),
    "start": Benchmark("start", repeats=3, **below(24.0, "s")),
}


def table(results: Sequence[Result]) -> Table:
    found = Table(title="ours against the plain algorithm")
    for name in ("benchmark", "unit", "ours", "theirs", "ratio", "limit", "of limit"):
        found.add_column(name, justify="left" if name == "benchmark" else "right")
    for name in ("repeats", "spread", "must reach", ""):
        found.add_column(name)
    for r in results:
        benchmark = BENCHMARKS[r.name]
        said = "" if benchmark.reached is None else "yes" if benchmark.reached(r) else "NO"
        cells = [f"{x:.3g}" if x is not None else "-" for x in (r.ours, r.theirs, r.ratio, r.limit)]
        share = f"{r.of_limit:.0%}" if r.of_limit is not None else "-"
        spread = f"{r.spread:.0%}"
        found.add_row(
            r.name, r.unit, *cells, share, str(r.repeats), spread, benchmark.target, said
        )  # fmt: skip
    return found


def _measure(function: str) -> Callable[..., Result]:
    module, _, name = function.partition(":")
    found: Callable[..., Result] = getattr(
        import_module(f"benchmarks.speed.{module}"), name or "measure"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--repeats", type=int, help="by default 3, fewer where it takes long")
    parser.add_argument("--against", type=Path, metavar="FILE", help="what became slower since")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"{name}: not one of {', '.join(BENCHMARKS)}")
    try:
        earlier = read_results(options.against) if options.against else []
    except ValueError as error:
        parser.error(f"--against {error}")
    short_barriers()
    results: list[Result] = []
    console, commit = Console(), git_revision()
    names = options.names or list(BENCHMARKS)
    with quick_imports():  # as the scripts do
        measures = {name: _measure(BENCHMARKS[name].function) for name in names}
    for name, measure in measures.items():
        benchmark = BENCHMARKS[name]
        console.print(name, highlight=False)
        try:
            found = measure(name, options.repeats or benchmark.repeats, *benchmark.arguments)
        except Skipped as reason:
            console.print(f"  not measured: {reason}", highlight=False)
            continue
        results.append(replace(found, commit=commit))
        if options.json:  # after each, so that a long run leaves something behind
            text = json.dumps([asdict(result) for result in results], indent=1)
            options.json.write_text(text + "\n", encoding="utf-8")
    Console(width=max(console.width, 120)).print(table(results))
    return say_changes(results, earlier) if options.against else 0


def say_changes(results: Sequence[Result], earlier: Sequence[Result]) -> int:
    """A line for each thing that can be compared; 1 where one is slower beyond the spread."""
    found = changes(results, earlier)
    for change in found:
        print(change)
    if left := not_compared(results, earlier):
        print(f"not compared (new, or only seconds, which differ by machine): {', '.join(left)}")
    slower = [change for change in found if change.slower]
    print(f"{len(slower)} of {len(found)} became slower beyond the spread")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
