"""Signs of life, asked of small real servers under the real supervisor: hung, busy, dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from src.vllm.control import EngineControl
from src.vllm.engine import Engine
from src.vllm.liveness import watch
from src.vllm.spec import EngineSpec
from tests.src.vllm.test_supervisor import ROOT, gone, until

# answers each request after so many seconds
SERVER = """
import socketserver, sys, time
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        time.sleep(float(sys.argv[2]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        print("answered", flush=True)
socketserver.ThreadingUnixStreamServer(sys.argv[1], Handler).serve_forever()
"""


@contextmanager
def served(folder: Path, seconds: float) -> Iterator[Engine]:
    socket, log = folder / "e.sock", folder / "e.log"
    supervise = [sys.executable, "-m", "src.vllm.supervisor", str(os.getpid()), "5", "--"]
    with log.open("a") as output:
        process = subprocess.Popen(
            [*supervise, sys.executable, "-c", SERVER, str(socket), str(seconds)],
            cwd=ROOT,
            stdout=output,
            start_new_session=True,
        )
    try:
        assert until(socket.exists)
        threading.Thread(target=process.wait, daemon=True).start()  # or it would stay a zombie
        started = psutil.Process(process.pid).create_time()
        spec = EngineSpec(name="teacher", model="model", roles=("teacher",))
        yield Engine(spec=spec, socket=socket, log=log, pid=process.pid, started=started)
    finally:
        if not gone(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_hung_engine_is_killed_and_its_log_says_why(tmp_path: Path, whole_group: bool) -> None:
    with served(tmp_path, 0.0) as engine:
        (server,) = psutil.Process(engine.pid).children()
        if whole_group:
            os.killpg(engine.pid, signal.SIGSTOP)
        else:
            server.suspend()
        watch(engine, 1.0, threading.Event())
        assert until(lambda: gone(server.pid) and gone(engine.pid))
        assert engine.last_words() == (
            "error: it hung: no sign of life for 1 s (engines.hang_timeout_s)"
        )


def test_a_late_answer_is_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question without an answer, as after a moment in which the machine stood still."""
    stop, asked = threading.Event(), 0

    def probe(self: EngineControl, timeout_s: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 7:
            stop.set()
        if asked % 2:
            raise TimeoutError

    monkeypatch.setattr(EngineControl, "probe", probe)
    with served(tmp_path, 0.0) as engine:
        watch(engine, 0.4, stop)
        assert asked >= 7 and engine.alive() and "hung" not in engine.log.read_text()


def test_a_busy_engine_is_left_alone(tmp_path: Path) -> None:
    stop = threading.Event()
    with served(tmp_path, 1.0) as engine:
        watching = threading.Thread(target=watch, args=(engine, 10.0, stop))
        watching.start()
        assert until(lambda: engine.log.read_text().count("answered") >= 1)
        stop.set()
        watching.join(20)
        assert engine.alive() and "hung" not in engine.log.read_text()


def test_an_engine_that_ends_by_itself_is_no_hang(tmp_path: Path) -> None:
    with served(tmp_path, 0.0) as engine:
        psutil.Process(engine.pid).children()[0].kill()
        watch(engine, 4.0, threading.Event())
        assert gone(engine.pid) and "hung" not in engine.log.read_text()
