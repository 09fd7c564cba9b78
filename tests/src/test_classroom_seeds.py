"""The same seed gives the same records, at any concurrency and in any process."""

from __future__ import annotations

import subprocess
import sys

from src.inference_providers.scripted import Latency, ScriptedProvider
from tests.src.scripted_classroom import classroom, generation, run_all, without_timing


def test_same_seed_same_records_at_any_concurrency() -> None:
    def run(slots: int, latency: Latency | None) -> list[str]:
        made = generation(number_initial_attempts=2, max_concurrent_conversations=slots)
        babble = [ScriptedProvider(seed=i, name=f"m{i}", latency=latency) for i in range(2)]
        return without_timing(run_all(classroom(made, *babble), samples=3))

    alone = run(1, None)
    assert run(0, Latency(median_s=0.002, sigma=1.0)) == alone
    assert run(5, None) == alone
    assert len(set(alone)) == len(alone)


PROBE = """
import asyncio
from src.inference_providers.scripted import ScriptedProvider
from tests.src.scripted_classroom import classroom, generation, run_all, without_timing
babble = [ScriptedProvider(seed=i, name=f"m{i}") for i in range(2)]
print(hash("salt"))
print("\\n".join(without_timing(run_all(classroom(generation(), *babble)))))
"""


def test_same_seed_same_records_in_any_process() -> None:
    runs = []
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={"PYTHONHASHSEED": salt, "PATH": "", "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(done.stdout.split("\n", 1))
    assert runs[0][0] != runs[1][0], "the processes must differ in their salt"
    assert runs[0][1] == runs[1][1]
