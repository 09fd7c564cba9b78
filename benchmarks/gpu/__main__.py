"""First contact with a GPU: checks the trainer and the engines on it, and says what to set.

    python -m benchmarks.gpu [NAME ...] [--json FILE] [--seconds N] [--dry]

NAME is an item (T1 to T4, V1 to V6, L) or a group (train, engine); without names, all.  It needs no
network: models have Qwen2.5's shapes and random weights.  Each item is a process of its own with a
bound in time; FILE is written after each, and its log stands in FILE's folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.cards import gpu_name
from benchmarks.gpu.items import GROUPS, ITEMS, chosen
from benchmarks.gpu.runner import Runner


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("names", nargs="*", metavar="NAME")
    found.add_argument("--json", type=Path, default=Path("gpu.json"), metavar="FILE")
    found.add_argument("--seconds", type=float, default=1200.0, metavar="N", help="all together")
    found.add_argument("--dry", action="store_true", help="tiny models on the CPU: is it all there")
    found.add_argument("--work", type=Path, metavar="DIR", help="where models are kept")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        items = chosen(options.names)
    except KeyError as name:
        known = ", ".join([item.name for item in ITEMS] + list(GROUPS))
        print(f"benchmarks.gpu: {name} is none of {known}", file=sys.stderr)
        return 2
    if not options.dry and gpu_name() is None:
        print("benchmarks.gpu: no GPU is here (nvidia-smi names none); --dry runs on the CPU")
        return 2
    work = options.work or Path(tempfile.gettempdir()) / "tutor-rl-gpu"
    work.mkdir(parents=True, exist_ok=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    runner = Runner(options.json, work, dry=options.dry, seconds=options.seconds)
    return runner.run(items)


if __name__ == "__main__":
    sys.exit(main())
