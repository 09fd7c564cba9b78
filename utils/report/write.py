"""One self-contained page for a run, or for several side by side: report.html.

    python -m utils.report RUN… [--out FILE] [--paper] [--tokenizer NAME] [--most 5000]

RUN is a run folder, or a folder of run folders (a sweep).  With a tokenizer (a model's name or
folder) the tutor's tokens are shaded by their logprob; without one each turn shows its mean.
The page needs no network and runs no script but its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from utils.metrics.statistics import MIN_CLUSTERS
from utils.records import JOURNAL_NAME, RECORD_NAME
from utils.report.conversations import CHUNK, Decode, choose, chunks, index
from utils.report.credit import turn_credit
from utils.report.page import page
from utils.report.runs import describe, labels, paper_points, plane
from utils.report.terminal import plain
from utils.runs.folder import METRICS
from utils.runs.read import Run, open_run

REPORT_NAME = "report.html"
MOST = 5_000


def write_report(
    runs: Sequence[Run],
    path: Path,
    *,
    paper: bool = False,
    decoders: Sequence[Decode | None] = (),
    most: int = MOST,
) -> Path:
    """Write the page of these runs to `path`; `decoders[i]` turns token ids of run i into text."""
    given = list(decoders) or [None] * len(runs)
    chosen, total = choose(runs, most)
    described = [describe(run, label) for run, label in zip(runs, labels(runs), strict=True)]
    data: dict[str, Any] = {
        "title": runs[0].name if len(runs) == 1 else f"{len(runs)} runs",
        "runs": described,
        "plane": plane(runs, described),
        "paper": paper_points() if paper else None,
        "total": total,
        "chunk": CHUNK,
        "few": MIN_CLUSTERS,
        "index": index(chosen),
    }
    temporary = path.with_name(path.name + ".part")
    steps = {record.step for _, record in chosen}
    credit = [turn_credit(run, steps) for run in runs]
    temporary.write_text(page(data, chunks(chosen, given, credit)), encoding="utf-8")
    temporary.replace(path)
    return path


def load_decoder(name: str) -> Decode:
    """Token ids to text with a model's own tokenizer (imports transformers; may ask the hub)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)

    @lru_cache(maxsize=200_000)
    def decode(ids: tuple[int, ...]) -> str:
        text = str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
        first = str(tokenizer.convert_ids_to_tokens(ids[0]))
        # SentencePiece drops the space that opens a decoded text; within a turn it belongs there.
        return " " + text if first.startswith("▁") and not text.startswith(" ") else text

    return lambda ids: decode(tuple(ids))


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders that the arguments mean: themselves, or the run folders directly in them."""
    found: list[Path] = []
    for path in paths:
        if path.is_file() or _is_run(path):
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.is_dir() and _is_run(p)) if path.is_dir() \
            else []  # fmt: skip
        if not inside:
            raise ConfigError(f"{path}: no run folder, and none in it")
        found += inside
    return found


def _is_run(path: Path) -> bool:
    return any((path / name).exists() for name in (RECORD_NAME, JOURNAL_NAME, METRICS))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m utils.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, help="default: report.html in the (first) run's folder")
    parser.add_argument("--paper", action="store_true", help="draw the paper's points beside ours")
    parser.add_argument("--tokenizer", help="model whose tokenizer made the tutor's tokens")
    parser.add_argument("--most", type=int, default=MOST, help="conversations in the page")
    options = parser.parse_args(arguments)
    try:
        folders = find_runs(options.runs)
        runs = [open_run(folder) for folder in folders]
        decode = load_decoder(options.tokenizer) if options.tokenizer else None
    except (ConfigError, ValueError, OSError) as error:
        print(f"utils.report: {plain(error, 500)}", file=sys.stderr)
        return 2
    beside = runs[0].folder if len(runs) == 1 else runs[0].folder.parent
    path = write_report(
        runs,
        options.out or beside / REPORT_NAME,
        paper=options.paper,
        decoders=[decode] * len(runs),
        most=options.most,
    )
    print(path)
    return 0
