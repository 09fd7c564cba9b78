"""eval.py killed, interrupted, refused or at a cap: what is kept, and how it goes on."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fault_server import Behaviour, FaultServer, status
from tests.src.evaluation.hosted_runs import (
    PROBLEMS,
    answer,
    command,
    essence,
    finished,
    problems,
    start,
)
from utils.records import load_run

__all__ = ["problems"]  # the fixture


async def test_killed_and_started_again_asks_nothing_twice(problems: Path, tmp_path: Path) -> None:
    more = ["generation.max_concurrent_conversations=3", "num_samples_per_problem=1"]
    async with FaultServer(lambda number, body: answer(body)) as server:
        whole = command(server, problems, tmp_path / "whole", *more)
        assert (await finished(whole))[0] == 0
        once = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    moment = random.randint(1, sum(once.values()) - 10)
    print(f"killed at request {moment} of {sum(once.values())}")  # shown where this fails

    async with FaultServer(lambda number, body: answer(body, after_s=0.01)) as server:
        arguments = command(server, problems, tmp_path / "killed", *more)
        folder = tmp_path / "killed" / "e"
        process = await start(arguments)
        while len(server.requests) < moment:
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        before = len(server.requests)
        kept = load_run(folder)
        assert len(kept) < PROBLEMS
        with (folder / "conversations.journal.jsonl").open("a") as journal:
            journal.write('{"half a li')  # as a kill in the middle of a write leaves it
        code, _, err = await finished(arguments)
        assert code == 0, err
        paid = Counter(json.dumps(body, sort_keys=True) for body in server.requests)

    assert essence(folder) == essence(tmp_path / "whole" / "e")
    again = {request for request, times in paid.items() if times > once[request]}
    assert set(paid) == set(once)
    # at most three conversations were in flight; none of the finished ones was asked again
    assert len({_problem(request) for request in again}) <= 3
    assert not {_problem(request) for request in again} & {r.problem for r in kept}
    assert before < sum(paid.values())


def _problem(request: str) -> str:
    found = re.search(r"What is \d+ \+ \d+\?", request)
    assert found
    return found[0]


async def test_interrupted_reports_on_what_there_is(problems: Path, tmp_path: Path) -> None:
    more = ["generation.max_concurrent_conversations=2"]
    pace = [0.03]
    async with FaultServer(lambda number, body: answer(body, after_s=pace[0])) as server:
        arguments = command(server, problems, tmp_path, *more)
        folder = tmp_path / "e"
        process = await start(arguments)
        while not folder.exists() or len(load_run(folder)) < 3:
            assert process.returncode is None
            await asyncio.sleep(0.01)
        pace[0] = 60.0  # nothing more is finished, however long the signal takes
        process.send_signal(signal.SIGINT)
        out, err = (part.decode() for part in await process.communicate())
        assert process.returncode == 130, err
        assert "Traceback" not in err
        metrics = json.loads((folder / "metrics.json").read_text())
        assert 3 <= metrics["turns"]["n"] < PROBLEMS
        assert "stopped after" in out and not (folder / "finished").exists()
        pace[0] = 0.0
        assert (await finished(arguments))[0] == 0
    assert len(load_run(folder)) == PROBLEMS


async def test_refused_key_ends_in_one_line_with_results_kept(
    problems: Path, tmp_path: Path
) -> None:
    def script(number: int, body: dict[str, Any]) -> Behaviour:
        return answer(body) if number < 40 else status(401, "no such key")

    more = ["generation.max_concurrent_conversations=1"]
    async with FaultServer(script) as server:
        code, _, err = await finished(command(server, problems, tmp_path, *more))
    assert code == 1
    assert "401" in err and "Traceback" not in err
    held = load_run(tmp_path / "e")
    assert 0 < len(held) < PROBLEMS
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["turns"]["n"] == len(held)


IN_FLIGHT = 4  # at most, of the two conversations


async def test_a_cap_stops_with_results_kept_and_a_higher_one_goes_on(
    problems: Path, tmp_path: Path
) -> None:
    more = ["generation.max_concurrent_conversations=2"]
    cap = "engines.max_requests=60"
    folder = tmp_path / "e"
    async with FaultServer(lambda number, body: answer(body)) as server:
        arguments = command(server, problems, tmp_path, *more)
        code, _, err = await finished([*arguments, cap])
        # a request counts once it is let through; one that the cap then cancels is never sent
        first = len(server.requests)
        assert code == 1 and 60 - IN_FLIGHT <= first <= 60
        errors = [line for line in err.splitlines() if line.startswith("error:")]
        assert errors == ["error: engines.max_requests: 60 requests are made"]
        assert "Traceback" not in err
        held = load_run(folder)
        assert 0 < len(held) < PROBLEMS
        assert json.loads((folder / "metrics.json").read_text())["turns"]["n"] == len(held)
        # what the record says was spent counts: the same cap admits no second 60 requests
        paid = sum(u.requests for r in held for u in r.usage.values())
        code, _, _ = await finished([*arguments, cap])
        assert code == 1 and 60 - paid - IN_FLIGHT <= len(server.requests) - first <= 60 - paid
        # a cap changes no result, so the run goes on with a higher one
        assert (await finished([*arguments, "engines.max_requests=1000"]))[0] == 0
    assert len(load_run(folder)) == PROBLEMS
