"""What a rollout costs us as work grows: more conversations, more nodes, longer conversations.

    python -m benchmarks.growth [PART ...] [--json FILE] [--svg FILE]

PART: conversations (small ones), pieces (what a batch shares), whole (the paper's 7B config),
nodes, lengths; none named: all.  What FILE already holds of the others stays in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from utils.runs.folder import git_revision
from utils.runs.process import short_barriers

SIZES, WHOLE_SIZES, NODES = (1024, 4096, 16384, 65536), (64, 256), (1, 4, 16, 64)
PARTS = ("conversations", "pieces", "whole", "nodes", "lengths")
DOCS = Path(__file__).resolve().parents[2] / "docs"


def measure(part: str, sizes: Sequence[int] = ()) -> Any:
    """The rows of one part; `sizes`: others than are documented."""
    if part == "nodes":
        from benchmarks.growth.nodes import among

        return [_said(asdict(among(nodes))) for nodes in sizes or NODES]
    if part == "lengths":
        from benchmarks.growth.lengths import sweep

        return _said({name: sweep(name) for name in ("messages", "tokens")})
    if part == "pieces":
        from benchmarks.growth.pieces import cost

        cost(8)  # what is done once, is done
        return [_said(asdict(cost(size))) for size in sizes or SIZES]
    from benchmarks.growth.rollouts import SMALL, WHOLE, alone

    kind, usual = (SMALL, SIZES) if part == "conversations" else (WHOLE, WHOLE_SIZES)
    return [_said(asdict(alone(size, kind))) for size in sizes or usual]


def _said(row: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(row), flush=True)
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, default=DOCS / "growth.json", metavar="FILE")
    parser.add_argument("--svg", type=Path, default=DOCS / "growth.svg", metavar="FILE")
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part}: not one of {', '.join(PARTS)}")
    short_barriers()
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    for part in options.parts or PARTS:
        found[part] = measure(part)
        found.setdefault("commits", {})[part] = git_revision()
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    from benchmarks.growth.plot import plot

    if set(PARTS) <= set(found):
        plot(found, options.svg)
    print(options.json)


if __name__ == "__main__":
    main()
