"""Export conversations for other tools.

    python -m utils.export RUN... --to messages|hf|inspect --out PATH [filters]

messages: plain chat JSON Lines, one conversation a line, in the file PATH.  hf: a folder that
datasets.load_dataset reads, with a card.  inspect: logs that `inspect view` shows.  Filters are
those of the report.  docs/export.md says what a format cannot hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from config.errors import ConfigError, RunError
from utils.export.filters import ACCEPTED, SOLVED, Filter
from utils.export.hub import write_dataset
from utils.export.inspect_data import write_logs
from utils.export.rows import row
from utils.records import ConversationRecord
from utils.report.terminal import plain
from utils.report.write import find_runs
from utils.runs.read import Run, open_run

FORMATS = ("messages", "hf", "inspect")


def choose(runs: Sequence[Run], wanted: Filter) -> list[tuple[Run, ConversationRecord]]:
    """The conversations that a filter lets through, in the order of runs and keys."""
    return [(run, record) for run in runs for record in run.records if wanted.lets_through(record)]


def export(
    chosen: Sequence[tuple[Run, ConversationRecord]], to: str, out: Path, *, licence: str = "other"
) -> None:
    """Write these conversations to a path that holds nothing yet.  Raises ConfigError, RunError."""
    if not chosen:
        raise ConfigError("no conversation passes the filters; nothing is written")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"--out: {out} is there already; name another or remove it")
    names = [run.name for run in {id(run): run for run, _ in chosen}.values()]
    if len(set(names)) < len(names):
        raise ConfigError("two of the runs have one name; their conversations would be mixed up")
    out.parent.mkdir(parents=True, exist_ok=True)
    if to == "inspect":
        write_logs(chosen, out)
        return
    rows = [row(record, run.name) for run, record in chosen]
    if to == "hf":
        write_dataset(rows, chosen, out, licence)
        return
    draft = out.with_name(out.name + ".part")
    lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in rows)
    draft.write_text("".join(lines), encoding="utf-8")
    draft.replace(out)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m utils.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    made.add_argument("--to", required=True, choices=FORMATS)
    made.add_argument("--out", required=True, type=Path, metavar="PATH")
    made.add_argument("--license", default="other", help="of the data set's card (default: other)")
    filters = made.add_argument_group("filters, as in the report")
    filters.add_argument("--split", choices=("train", "eval", "human"))
    filters.add_argument("--step", type=int)
    filters.add_argument("--type", choices=("guided", "attempted"))
    filters.add_argument("--source")
    filters.add_argument("--stop", metavar="REASON", help="tutor_ended, max_turns, ...")
    filters.add_argument("--leaked", choices=("yes", "no"))
    filters.add_argument("--accepted", choices=ACCEPTED)
    filters.add_argument("--solved", choices=tuple(SOLVED), help="afterwards")
    filters.add_argument("--least", type=float, metavar="REWARD")
    filters.add_argument("--most", type=float, metavar="REWARD")
    filters.add_argument("--text", default="", help="words that were said")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    names = Filter.__dataclass_fields__
    wanted = Filter(**{name: getattr(given, name) for name in names})
    try:
        runs = [open_run(folder) for folder in find_runs(given.runs)]
        chosen = choose(runs, wanted)
        export(chosen, given.to, given.out, licence=given.license)
    except (ConfigError, RunError, ValueError, OSError) as error:
        print(f"utils.export: {plain(error, 500)}", file=sys.stderr)
        return 1 if isinstance(error, RunError) else 2
    total = sum(len(run.records) for run in runs)
    print(f"{given.out}: {len(chosen)} of {total} conversations")
    return 0
