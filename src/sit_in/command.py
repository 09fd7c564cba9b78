"""Take one role of the classroom yourself, against the configured other.

    python -m src.sit_in --as student|tutor [--config-name NAME] [KEY=VALUE ...] [--web]

NAME is a file of config/eval.  The models run in this process unless engines.backend=vllm, or an
endpoint serves them.  A trained tutor: teacher_model.model_name_or_path=runs/NAME/model.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from config.errors import ConfigError, RunError
from config.post_tests import wants_transfer
from config.schema import EvalConfig
from src.setup import check_classroom
from src.sit_in.seat import ROLE_OF, Seat
from src.sit_in.sitting import Sitting, seat_a_person
from src.sit_in.terminal import Terminal
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.metrics.conversation import METRICS_NAME, write_json
from utils.metrics.results import run_results
from utils.records import RECORD_NAME
from utils.report.write import REPORT_NAME, write_report
from utils.runs.folder import RunFolder, open_run
from utils.runs.logs import load_environment, redact, set_up_logging
from utils.runs.read import open_run as read_run
from utils.settings.hydra_entry import load_config

DEFAULTS = ("engines.backend=transformers",)  # before what the user typed, which wins


def find_problem(problems: Sequence[Problem], wanted: str) -> Problem:
    """The problem of this id, of this number from 1, or the one whose text has these words.

    Raises ConfigError where there is none, or more than one.
    """
    same = [p for p in problems if p.id == wanted]
    if not same and wanted.isdigit() and 1 <= int(wanted) <= len(problems):
        same = [problems[int(wanted) - 1]]
    found = same or [p for p in problems if wanted.casefold() in p.text.casefold()]
    if len(found) != 1:
        raise ConfigError(f"--problem: {wanted!r} is {len(found) or 'none'} of the problems")
    return found[0]


def sit(
    cfg: EvalConfig, seat: Seat, problem: str | None, *, web: bool = False, port: int = 0
) -> Path | None:
    """Conversations until the person leaves; the report of all that the run holds, if any."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    seat_a_person(cfg, seat)
    check_classroom(cfg, without=[ROLE_OF[seat]])
    problems = load_problems(
        cfg.dataset.eval_datasets,
        seed=cfg.seed,
        limit=cfg.dataset.max_val_examples,
        setting="dataset.eval_datasets",
        bad_rows=cfg.dataset.bad_rows,
        transfer=wants_transfer(cfg.generation),
    )
    first = None if problem is None else find_problem(problems, problem)
    with ExitStack() as stack:
        folder = stack.enter_context(open_run(cfg, config_name=f"sit-in-{seat}"))
        set_up_logging(file=folder.path / "sit_in.log", level=logging.WARNING)
        try:
            asyncio.run(_sit(cfg, seat, problems, folder, first, stack, port=port if web else None))
        except KeyboardInterrupt:
            print("stopped; finished conversations are kept", file=sys.stderr)
        return write_results(folder.path)


async def _sit(
    cfg: EvalConfig,
    seat: Seat,
    problems: Sequence[Problem],
    folder: RunFolder,
    first: Problem | None,
    stack: ExitStack,
    *,
    port: int | None,
) -> None:
    """`port`: of the page; None: the terminal."""
    if port is None:
        await Sitting(cfg, seat, problems, folder, Terminal(seat), stack).run(first)
        return
    from src.sit_in.web import Page

    page = Page(seat, port=port)
    sitting = Sitting(cfg, seat, problems, folder, page, stack)
    async with page:
        await sitting.run(first)


def write_results(folder: Path) -> Path | None:
    """metrics.json and the report of what was held so far; None where there is nothing."""
    if not (folder / RECORD_NAME).exists():
        return None
    run = read_run(folder)
    write_json(folder / METRICS_NAME, run_results(run))
    return write_report([run], folder / REPORT_NAME)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m src.sit_in",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--as", dest="seat", required=True, choices=("student", "tutor"))
    parser.add_argument("--config-name", default="toy", help="of config/eval (default: toy)")
    parser.add_argument("--problem", help="its number, its id, or words of its text")
    parser.add_argument("--web", action="store_true", help="on a page of this machine")
    parser.add_argument("--port", type=int, default=0, help="of the page (default: a free one)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings")
    given = parser.parse_intermixed_args(arguments)
    load_environment()
    set_up_logging(level=logging.WARNING)
    try:
        cfg = load_config(
            "config/eval",
            EvalConfig,
            given.config_name.removesuffix(".yaml"),
            [*DEFAULTS, *given.overrides],
        )
        report = sit(cfg, given.seat, given.problem, web=given.web, port=given.port)
    except (ConfigError, RunError) as error:
        print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    print(f"report: {report}" if report else "nothing was finished; nothing is kept")
    return 0
