"""Measures a judge that is code against people's labels, before it is trusted.

    python -m utils.calibrate JUDGE --labels FILE [--out FOLDER]

JUDGE is `matcher`, or a function as `module:function`.  A rule that is put to a model is measured
by `python -m src.calibrate RULE --labels FILE`, with the settings of an evaluation.  FILE is
MRBench's or MathDial's, or JSON Lines of our own (utils/verdicts/labels.py).  With `--out` the
numbers are kept in FOLDER/calibration.json; in a run's folder the report shows them.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from config.errors import ConfigError
from utils.answers.said.leaks import match_leak
from utils.metrics.judges.calibration import Calibration, calibrate
from utils.metrics.judges.calibration_file import keep_calibration
from utils.report.terminal import calibration_table, output, plain
from utils.verdicts.judging import Verdict
from utils.verdicts.labels import Labelled, Labels, Turns, read_labels

Function = Callable[[str, str, Sequence[tuple[str, str]]], Verdict]
MODELS = "python -m src.calibrate"
SAID_BEFORE = "rejected before the labelled turn"


def judge_function(name: str) -> Function:
    """`matcher`, or the function `module:function`.  Raises ConfigError."""
    if name == "matcher":
        return match_leak
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f"{name}: neither matcher nor module:function; a rule that asks a model is measured by "
            f"{MODELS} {name} --labels FILE [KEY=VALUE ...]"
        )
    try:
        function: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(f"{name}: {error}") from None
    if not callable(function):
        raise ConfigError(f"{name} is no function")
    return function  # type: ignore[no-any-return]


def calibrate_function(name: str, function: Function, labels: Labels) -> Calibration:
    """Ask a function about every labelled turn.

    A conversation that it rejects without the labelled turn says nothing of it, and is left out.
    """
    begin, judged = time.perf_counter(), []
    left_out = Counter(labels.left_out)
    for row in labels.rows:
        if _decision(name, function, row, row.turns[:-1]) == "REJECT":
            left_out[SAID_BEFORE] += 1
        else:
            judged.append((row, [_decision(name, function, row, row.turns)]))
    seconds = time.perf_counter() - begin
    return calibrate(name, labels.name, judged, left_out=dict(left_out), seconds=seconds)


def _decision(name: str, function: Function, row: Labelled, turns: Turns) -> str:
    try:
        verdict = function(row.problem, row.answer, turns)
    except Exception as error:  # a user's own code, whatever it raises
        raise ConfigError(f"{name} raised {type(error).__name__}: {error}") from error
    if not isinstance(verdict, Verdict):
        raise ConfigError(f"{name} gave {verdict!r}, not a utils.verdicts.judging.Verdict")
    return verdict.decision


def show(calibration: Calibration, out: Path | None, console: Console | None = None) -> None:
    """The table in the terminal, and the entry in `out`/calibration.json."""
    console = console or output()
    console.print(calibration_table(calibration.to_json()))
    if out is not None:
        console.print(str(keep_calibration(out, calibration)), markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m utils.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("judge", metavar="JUDGE", help="matcher, or module:function")
    parser.add_argument("--labels", required=True, type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep calibration.json there")
    given = parser.parse_args(arguments)
    try:
        function = judge_function(given.judge)
        show(calibrate_function(given.judge, function, read_labels(given.labels)), given.out)
    except ConfigError as error:
        print(f"error: {plain(error, 500)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
