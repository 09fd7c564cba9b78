"""A process that imports vLLM once, and forks the server of each CPU engine.

    python -m src.vllm.fork_server OWNER_PID

Importing vLLM takes eight seconds of a core, and an engine has two processes that each need it, the
API server and its EngineCore.  On a GPU they must be started afresh, since CUDA does not survive a
fork.  On a CPU vLLM starts the EngineCore afresh too, with torch's libgomp loaded first, so that
threads bound to cores use them all.  Ours are not bound, and torch loads that library by itself; so
both are forked here, and share the pages of what was imported.

Requests come as JSON lines on standard input, answers go to standard output: the pid of a forked
supervisor (src/vllm/supervisor.py), and its exit code when it has ended.  An end of input is the
end of this process, not of the engines: their supervisors watch the owner themselves.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from src.inference_providers.base import ProviderError
from src.vllm.engine import last_words
from src.vllm.groups import end_group
from src.vllm.supervisor import REPOSITORY, Supervisor, is_running, watch
from utils.runs.process import quick_imports

LOG = "vllm_import.log"
POLL_S = 0.02
UNOWNED_S = 5.0  # so long may the memory of a killed server take to be free
IMPORTS = (
    "vllm.entrypoints.launchers.api_server.entry",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.worker.cpu_worker",
    "src.vllm.worker_extension",
)


class ForkServer:
    """The owner's side: started at once, it answers when vLLM is imported."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        """`environment`: of this process and all that it forks; `folder`: where its log goes."""
        self.log = folder / LOG
        self._codes: dict[int, int] = {}
        self._forked: list[int] = []
        self._unread = b""
        self._lock = threading.RLock()
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "src.vllm.fork_server", str(os.getpid())],
                cwd=REPOSITORY,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )

    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(
        self,
        arguments: Sequence[str],
        log: Path,
        grace_s: float,
        paths: Sequence[str],
        timeout_s: float,
    ) -> Forked:
        """The supervisor of a new server; the rest as the supervisor's own command line has it.

        Blocks until vLLM is imported.  Raises ProviderError where that fails, or is not done within
        `timeout_s` seconds.
        """
        request = {"arguments": list(arguments), "log": str(log), "grace_s": grace_s}
        line = json.dumps(request | {"paths": list(paths)}) + "\n"
        try:
            return Forked(self, self._ask(line.encode(), timeout_s))
        except BaseException:  # a signal's too: nobody else would own what it has forked
            self.close()
            raise

    def _ask(self, request: bytes, timeout_s: float) -> int:
        assert self._process.stdin is not None
        deadline = time.monotonic() + timeout_s
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(request)
            self._process.stdin.flush()
            while not self._forked and self._receive(max(0.0, deadline - time.monotonic())):
                pass
            if self._forked:
                return self._forked.pop()
        try:
            ended = f"ended with exit code {self._process.wait(1.0)}"
        except subprocess.TimeoutExpired:
            ended = f"is not done after {timeout_s:.0f} s (engines.start_timeout_s)"
        raise ProviderError(
            f"engines: the process that imports vLLM {ended}: {last_words(self.log)}"
            f" (whole log: {self.log})"
        )

    def code_of(self, pid: int) -> int | None:
        """The exit code of a supervisor; None while it runs."""
        with self._lock:
            while pid not in self._codes and self._receive(0.0):
                pass
            if pid not in self._codes and not is_running(pid):
                while pid not in self._codes and self._receive(1.0):
                    pass
                self._codes.setdefault(pid, 1)  # nobody is left who could know
            return self._codes.get(pid)

    def _receive(self, timeout_s: float) -> bool:
        """Take in what it says; False where it says nothing within the time, or never will."""
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return False
        pipe = self._process.stdout.fileno()
        poller = select.poll()  # a restart may find more files open than select takes
        poller.register(pipe, select.POLLIN)
        if not poller.poll(1e3 * timeout_s) or not (data := os.read(pipe, 65536)):
            return False
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "code" in answer:
                self._codes[answer["pid"]] = answer["code"]
            else:
                self._codes.pop(answer["pid"], None)  # of an earlier process with this number
                self._forked.append(answer["pid"])
        return True

    def close(self) -> None:
        """End it.  What it forked goes on, but for what nobody was told of."""
        self._process.kill()  # it may be importing still, and holds nothing
        self._process.wait()
        with self._lock:
            while self._receive(0.0):
                pass
            for pid in self._forked:
                end_group(pid, UNOWNED_S)
            self._forked.clear()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


class Forked:
    """A supervisor that a fork server has forked, in the manner of subprocess.Popen."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.server, self.pid = server, pid

    def poll(self) -> int | None:
        return self.server.code_of(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("src.vllm.fork_server", timeout or 0.0)
            time.sleep(POLL_S)
        return code


# --- the process itself ---------------------------------------------------------------------


def main(owner: int) -> int:
    answers = os.dup(1)
    os.dup2(2, 1)  # what an import prints is no answer
    _import_vllm()
    owner_watch = watch(owner)
    if owner_watch is None or os.getppid() != owner:
        return 1
    children: dict[int, int] = {}  # file descriptor of a supervisor's pid: its pid
    unread = b""
    while True:
        for ready in select.select([0, owner_watch, *children], [], [])[0]:
            if ready == owner_watch:
                return 0
            if ready in children:
                pid = children.pop(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _answer(answers, pid=pid, code=code)
                continue
            if not (data := os.read(0, 65536)):
                return 0
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                leads, told = os.pipe()
                if (pid := os.fork()) == 0:
                    os.setsid()
                    for inherited in (answers, leads, told, *children):
                        os.close(inherited)
                    return _supervise(json.loads(line), owner_watch)
                os.close(told)
                os.read(leads, 1)  # its end: who hears of the pid may signal its group at once
                os.close(leads)
                children[os.pidfd_open(pid)] = pid
                _answer(answers, pid=pid)


def _answer(pipe: int, **said: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, json.dumps(said).encode() + b"\n")


def _import_vllm() -> None:
    """Most of what API server and EngineCore import.

    The collector's passes over it would write to every page that forked processes share.
    """
    with quick_imports():
        for module in IMPORTS:
            importlib.import_module(module)
    engine_processes: Any = importlib.import_module("vllm.v1.engine.utils")
    engine_processes.get_mp_context = partial(multiprocessing.get_context, "fork")
    # what asyncio wakes the API server's loop with would tell that of the EngineCore's signals
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


def _supervise(request: dict[str, Any], owner: int) -> int:
    """In the forked child, which leads a session of its own: run the server; its exit code."""
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    supervisor = Supervisor(owner, request["grace_s"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # the handler is not the server's
    if (pid := os.fork()) == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(owner)
        return _serve(request["arguments"])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = supervisor.run(Child(pid))
    supervisor.clear_up(request["paths"])
    os._exit(code)  # to unwind an interpreter this large would take longer than all of that


class Child:
    """A forked child, as a supervisor sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def _serve(arguments: list[str]) -> int:
    """vLLM's own entry point, as its command line would run it."""
    from vllm.entrypoints.launchers.api_server.entry import main as serve

    sys.argv = ["vllm", *arguments]
    serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
