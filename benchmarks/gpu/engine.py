"""The engine that items ask: owned by a process of its own, found again by its manifest.

    python -m benchmarks.gpu.engine OUT WORK [--dry]

It starts the engine, writes OUT, and stops the engine when its input ends.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.cards import used_bytes
from config.errors import RunError
from config.schema import EngineSettings
from src.vllm.engines import EngineSet
from src.vllm.spec import EngineSpec

NAME = "teacher"
SHARE = 0.3  # of the GPU, the rest is a trainer's
RUNNER = "VLLM_USE_V2_MODEL_RUNNER"
MANIFEST = "TUTOR_RL_GPU_ENGINE"  # names OUT for the items
SETTINGS = EngineSettings(residency="phase", request_timeout_s=180.0, hang_timeout_s=150.0)


def spec(model: Path, dry: bool, *, eager: bool = True, fp8: bool = False) -> EngineSpec:
    """A tutor's engine; on a CPU a small one, whose weights are really lost at level 2."""
    if dry:
        return EngineSpec(
            name=NAME,
            model=str(model),
            roles=(NAME,),
            phases=frozenset({"turns"}),
            updatable=True,
            dtype="float32",
            max_length=512,
            max_num_seqs=16,
            cpu_kv_cache_gib=0.1,
            fault="nan_on_sleep",
        )
    return EngineSpec(
        name=NAME,
        model=str(model),
        roles=(NAME,),
        phases=frozenset({"turns"}),
        updatable=True,
        dtype="bfloat16",
        quantization="fp8" if fp8 else None,
        max_length=2048,
        max_num_seqs=128,
        gpu_memory_utilization=SHARE,
        enforce_eager=eager,
    )


@contextmanager
def started(wanted: EngineSpec, folder: Path, has_gpu: bool) -> Iterator[dict[str, Any]]:
    """The engine asleep, and what its start showed; once more with runner V1 if V2's fails."""
    about: dict[str, Any] = {"used_before_gib": used_bytes() / 2**30}
    tries = [os.environ.get(RUNNER)] + (["0"] if has_gpu and RUNNER not in os.environ else [])
    for at, runner in enumerate(tries):
        if runner is not None:
            os.environ[RUNNER] = runner
        patience = replace(SETTINGS, start_timeout_s=240.0 if has_gpu else 400.0)
        engines = EngineSet([wanted], patience, folder / f"try{at}")
        began = time.monotonic()
        try:
            engines.__enter__()
        except RunError as error:
            about.setdefault("failed", []).append(str(error)[:600])
            if at == len(tries) - 1:
                about["reason"] = about["failed"][0]
                yield about
                return
            continue
        try:
            log = engines.engines[NAME].log
            about |= {
                "manifest": str(engines.manifest),
                "log": str(log),
                "start_s": time.monotonic() - began,
                "runner": "V2" if "V2 Model Runner" in log.read_text(errors="replace") else "V1",
                "asleep_gib": used_bytes() / 2**30 - about["used_before_gib"],
                "eager": wanted.enforce_eager,
            }
            yield about
        finally:
            engines.__exit__(None, None, None)
        return


def write(path: Path, about: dict[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(about))
    draft.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.engine", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    from benchmarks.gpu.models import model_folder

    model = model_folder("qwen2.5-0.5b", options.work, options.dry)
    wanted = spec(model, options.dry)
    with started(wanted, options.work / "engine", not options.dry) as about:
        write(options.out, about)
        if "reason" not in about:
            sys.stdin.read()
    return 0 if "reason" not in about else 1


if __name__ == "__main__":
    sys.exit(main())
