"""One item in this process: python -m benchmarks.gpu.one NAME OUT WORK [--dry]"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.found import Found, write
from benchmarks.gpu.items import ITEMS


def run(name: str, work: Path, dry: bool) -> Found:
    """What the item found; a failure of any kind is its reason, with the last line of ours."""
    item = next(item for item in ITEMS if item.name == name)
    module, _, function = item.work.partition(":")
    found = Found(name=name, what=item.what)
    began = time.perf_counter()
    try:
        getattr(import_module(f"benchmarks.gpu.work.{module}"), function)(found, work, dry)
    except Exception as error:  # of an unknown machine: the item is lost, and says why
        traceback.print_exc()
        found.passed = False
        said = " ".join(str(error).split())[:500]
        at = traceback.extract_tb(error.__traceback__)[-1]
        found.reason = f"{type(error).__name__}: {said} ({Path(at.filename).name}:{at.lineno})"
    found.seconds = time.perf_counter() - began
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.one", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("WANDB_MODE", "disabled")
    found = run(options.name, options.work, options.dry)
    write(options.out, {}, [found])
    sys.stdout.flush()
    return 0 if found.passed else 1


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads of libraries that do not end are nobody's concern any more
