"""CPU engines from one import of vLLM: real engines of several threads, and small servers that end
in every way in place of vLLM's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.schema import EngineSettings
from src.inference_providers.base import ProviderError, Sampling
from src.vllm.engines import EngineSet
from src.vllm.fork_server import ForkServer
from src.vllm.groups import end_all
from src.vllm.providers import providers_of
from src.vllm.server import Machine, is_one_process
from tests.src.vllm.small_engines import engine_spec, gap, logprobs_by, transformers_model
from tests.src.vllm.test_supervisor import ROOT, gone, until
from tests.tiny import save_tiny_model

EMPTY = ("engine/async_llm", "engine/core", "engine/utils", "worker/cpu_worker")
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
open(os.path.join(sys.argv[1], "child" if child == 0 else "server"), "w").write(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Callable[..., ForkServer]]:
    """A fork server whose vLLM is a package of ours; `server` is the body of its entry point."""
    started = []

    def start(server: str = "", importing: str = "") -> ForkServer:
        package = tmp_path / "fake" / "vllm"
        for name in ("entrypoints/launchers/api_server/entry", *(f"v1/{name}" for name in EMPTY)):
            path = package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for folder in [package, *(p for p in package.rglob("*") if p.is_dir())]:
            (folder / "__init__.py").touch()
        (package / "__init__.py").write_text(importing)
        body = "".join(f"    {line}\n" for line in f"import sys\n{server}".splitlines())
        entry = package / "entrypoints/launchers/api_server/entry.py"
        entry.write_text(f"def main():\n{body}")
        environment = {**os.environ, "PYTHONPATH": str(package.parent)}
        started.append(ForkServer(environment, tmp_path))
        return started[-1]

    yield start
    for server in started:
        server.close()


def test_what_a_server_ends_with_and_says_is_known(
    fake: Callable[..., ForkServer], tmp_path: Path
) -> None:
    server = fake(
        "print('heard', sys.argv[1:], sys.stdin.read())\n"
        "if sys.argv[1] == 'die': import os; os.kill(os.getpid(), 9)\n"
        "if sys.argv[1] == 'fail': raise ValueError('no such model')\n"
        "sys.exit(int(sys.argv[1]))",
        importing="print('this is no answer')",
    )
    ended = {
        given: server.fork([given], tmp_path / f"{given}.log", 1.0, (), 60.0).wait(60)
        for given in ("3", "0", "die", "fail")
    }
    assert ended == {"3": 3, "0": 0, "die": 137, "fail": 1}
    assert (tmp_path / "3.log").read_text() == "heard ['3'] \n"
    assert "ValueError: no such model" in (tmp_path / "fail.log").read_text()
    assert "this is no answer" in server.log.read_text()


def test_a_group_is_ended_by_force_where_it_must(
    fake: Callable[..., ForkServer], tmp_path: Path
) -> None:
    server = fake(STUBBORN)
    paths = [tmp_path / "sockets"]
    paths[0].mkdir()
    forked = server.fork([str(tmp_path)], tmp_path / "log", 0.3, list(map(str, paths)), 60.0)
    assert until(lambda: (tmp_path / "child").exists() and (tmp_path / "server").exists())
    pids = [int((tmp_path / name).read_text()) for name in ("child", "server")]
    assert {os.getpgid(pid) for pid in pids} == {forked.pid} != {os.getpgrp()}
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.1)
    end_all([forked], 0.3)
    assert forked.poll() == 137 and all(map(gone, [*pids, forked.pid]))
    assert paths[0].exists()  # the owner lives, and cleans up itself


OWNER = """
import os, sys, time
from pathlib import Path
from src.vllm.fork_server import ForkServer
folder = Path(sys.argv[1])
server = ForkServer({**os.environ, "PYTHONPATH": sys.argv[2]}, folder)
forked = server.fork([sys.argv[1]], folder / "log", 0.3, [str(folder / "sockets")], 60.0)
(folder / "pids").write_text(f"{forked.pid} {server._process.pid}")
time.sleep(600)
"""


@pytest.mark.parametrize("first", ["owner", "fork server", "stopped server"])
def test_a_killed_owner_leaves_nothing_whoever_went_before(
    fake: Callable[..., ForkServer], tmp_path: Path, first: str
) -> None:
    fake(STUBBORN)
    (tmp_path / "sockets").mkdir()
    command = [sys.executable, "-c", OWNER, str(tmp_path), str(tmp_path / "fake")]
    owner = subprocess.Popen(command, cwd=ROOT)
    names = ("pids", "child", "server")
    assert until(lambda: all((tmp_path / n).exists() and (tmp_path / n).read_text() for n in names))
    forked, server = map(int, (tmp_path / "pids").read_text().split())
    pids = [forked, *(int((tmp_path / name).read_text()) for name in ("child", "server"))]
    if first == "fork server":
        os.kill(server, signal.SIGKILL)
        time.sleep(1.0)
        assert not any(map(gone, pids))  # engines live on
    if first == "stopped server":
        os.kill(pids[-1], signal.SIGSTOP)
    owner.kill()
    owner.wait()
    assert until(lambda: all(map(gone, [*pids, server])))
    assert not (tmp_path / "sockets").exists()


def test_an_import_that_fails_is_one_line(fake: Callable[..., ForkServer], tmp_path: Path) -> None:
    server = fake(importing="raise ImportError('libnuma.so.1: cannot open shared object file')")
    with pytest.raises(ProviderError, match=r"exit code 1: ImportError: libnuma.*vllm_import.log"):
        server.fork([], tmp_path / "log", 1.0, (), 60.0)


def test_an_import_that_hangs_is_one_line(fake: Callable[..., ForkServer], tmp_path: Path) -> None:
    server = fake(importing="print('on its way', flush=True); import time; time.sleep(600)")
    with pytest.raises(ProviderError, match=r"not done after 1 s \(engines.start_timeout_s\).*way"):
        server.fork([], tmp_path / "log", 1.0, (), 1.0)


class Told(BaseException):
    """What the signal raises, as the launcher's does."""


def test_a_stop_while_vllm_is_imported_is_quick_and_whole(
    fake: Callable[..., ForkServer], tmp_path: Path
) -> None:
    def tell(*_: object) -> None:
        raise Told

    server = fake(importing="import time; time.sleep(600)")
    before = signal.signal(signal.SIGUSR1, tell)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(Told):
            server.fork([], tmp_path / "log", 1.0, (), 60.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert gone(server._process.pid)
    server.close()


def test_a_server_that_nobody_was_told_of_is_ended(
    fake: Callable[..., ForkServer], tmp_path: Path
) -> None:
    server = fake(STUBBORN)
    server.fork([str(tmp_path)], tmp_path / "log", 0.3, (), 60.0)
    names = ("child", "server")
    assert until(lambda: all((tmp_path / n).exists() and (tmp_path / n).read_text() for n in names))
    pids = [int((tmp_path / name).read_text()) for name in names]
    server._forked.append(os.getpgid(pids[0]))  # as if its answer had not been read
    server.close()
    assert until(lambda: all(map(gone, pids)))


def test_a_lost_exit_code_is_no_endless_wait(
    fake: Callable[..., ForkServer], tmp_path: Path
) -> None:
    server = fake("sys.exit(3)")
    forked = server.fork([], tmp_path / "log", 0.3, (), 60.0)
    assert forked.wait(60) == 3
    del server._codes[forked.pid]  # as if a signal had come between reading and keeping it
    assert server.alive() and forked.wait(10) == 1


# --- vLLM itself ----------------------------------------------------------------------------

IDS = [10, 33, 47, 112, 60, 222, 9, 40, 31, 50]
SAMPLED = Sampling(temperature=0.8, max_tokens=12, logprobs=True, seed=5)


async def test_engines_share_an_import_and_outlive_who_forked_them(tmp_path: Path) -> None:
    """Four threads each: OpenMP's do not survive a fork, so none may have been started before."""
    specs = [
        engine_spec(r, save_tiny_model(tmp_path / r), sleeps=False) for r in ("teacher", "judge")
    ]
    settings = EngineSettings(residency="always", start_timeout_s=240)
    with EngineSet(specs, settings, tmp_path / "run", Machine(cores=16)) as engines:
        server = engines._fork_server
        assert server is not None
        below = {n: _family(engine.pid) for n, engine in engines.engines.items()}
        assert all(len(family) == 3 for family in below.values())  # no tracker: nothing is spawned
        layouts = {_layout(p.pid) for family in below.values() for p in family}
        assert layouts == {_layout(server._process.pid)}  # each fresh process has another
        before = await _sample(engines)

        server._process.kill()
        server._process.wait()
        engines.check()
        assert await _sample(engines) == before
        for process in psutil.Process(engines.engines["judge"].pid).children(recursive=True):
            process.kill()
        assert until(lambda: not engines.engines["judge"].alive())
        with pytest.raises(ProviderError, match="judge"):
            engines.check()
        engines.restart("judge")
        engines.check()
        assert engines._fork_server is not server
        assert await _sample(engines) == before
    assert all(gone(p.pid) for family in below.values() for p in family)


async def _sample(engines: EngineSet) -> dict[str, Any]:
    """Of each engine; its logprobs are those that transformers computes."""
    providers, _ = providers_of(engines)
    said = {}
    for role, provider in providers.items():
        answer = await provider.complete_tokens(IDS, SAMPLED)
        model = transformers_model(engines, role)
        expected = logprobs_by(model, IDS + list(answer.token_ids or ()), temperature=0.8)
        assert gap(answer.logprobs, expected[len(IDS) - 1 :]) < 1e-4
        said[role] = answer.token_ids
        await provider.close()
    return said


def _family(pid: int) -> list[psutil.Process]:
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def _layout(pid: int) -> str:
    """Where the kernel has put libtorch: the same in processes that were forked from one."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    found = re.search(r"^(\w+)-\S+ .*libtorch_cpu\.so$", maps, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("machine", "extra", "forked"),
    [
        (Machine(cores=2), (), True),
        (Machine(cores=2), (("block-size", "128"),), True),
        (Machine(cores=2), (("--tensor_parallel_size", "2"),), False),
        (Machine(cores=2), (("data-parallel-size", "2"),), False),
        (Machine(gpus=("0",), cores=2), (), False),
    ],
)
def test_who_needs_a_fresh_interpreter(machine: Machine, extra: Any, forked: bool) -> None:
    spec = engine_spec("teacher", Path("m"), extra_args=extra)
    assert is_one_process(spec, machine) is forked
