"""Asks math-verify, in processes of its own, so that nothing it does can hold up the caller.

One helper process imports sympy once and forks for every question; the kernel ends a question's
process when its processor time, wall time or memory is used up.  The helper ends by itself when
this process is gone, however it went.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from utils.answers.symbolic_worker import WALL_LIMIT_S

_START_S, _GRACE_S = 120.0, 5.0
_ROOT = Path(__file__).resolve().parents[2]


class _Helper:
    """The helper process and the socket that hands it questions."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "utils.answers.symbolic_worker", str(theirs.fileno()),
                 str(os.getpid())],
                cwd=_ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self.control = ours
        ours.settimeout(_START_S)
        if not self._said_ready():
            self.close()
            raise RuntimeError(
                "answers: math-verify did not start in its own process; is it installed?"
            )

    def _said_ready(self) -> bool:
        try:
            return self.control.recv(1) != b""
        except TimeoutError:
            return False
        finally:
            self.control.settimeout(None)

    def close(self) -> None:
        self.control.close()
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def put(self, question: bytes) -> bytes | None:
        """The answer; b"" when its process was ended, None when the helper itself is gone."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                descriptors = array.array("i", [theirs.fileno()])
                try:
                    self.control.sendmsg(
                        [b"?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                    )
                except OSError:
                    return None
            ours.settimeout(WALL_LIMIT_S + _GRACE_S)
            try:
                ours.sendall(question)
                ours.shutdown(socket.SHUT_WR)
                answer = ours.recv(1)
            except TimeoutError:
                return None
            except OSError:
                answer = b""
            if answer == b"" and self.process.poll() is not None:
                return None
            return answer


class _Symbolic:
    """Slots for as many questions at a time as there are processors (2 to 8), and one helper."""

    def __init__(self) -> None:
        self.slots = threading.BoundedSemaphore(max(2, min(8, os.cpu_count() or 1)))
        self.lock = threading.Lock()
        self.helper: _Helper | None = None

    def start(self) -> _Helper:
        with self.lock:
            if self.helper is None:
                self.helper = _Helper()
            return self.helper

    def drop(self, helper: _Helper | None) -> None:
        with self.lock:
            if self.helper is not None and self.helper is helper:
                self.helper = None
                helper.close()

    def compare(self, a: str, b: str) -> bool | None:
        question = json.dumps([a, b]).encode()
        with self.slots:
            for _ in range(2):  # once more if the helper had died since
                helper = self.start()
                answer = helper.put(question)
                if answer is not None:
                    return {b"1": True, b"0": False}.get(answer)
                self.drop(helper)
        return None


_symbolic = _Symbolic()


def start() -> None:
    """Start the helper now (one or two seconds), rather than at the first question."""
    _symbolic.start()


def compare(a: str, b: str) -> bool | None:
    """Whether two answers are equal; None where that could not be told within the limits.

    Thread-safe.  Each question has CPU_LIMIT_S of processor time and WALL_LIMIT_S in all, from
    when a slot is free for it.  Raises RuntimeError where math-verify does not start.
    """
    return _symbolic.compare(a, b)


def stop() -> None:
    """End the helper; the next question starts another."""
    _symbolic.drop(_symbolic.helper)


def _forget() -> None:
    global _symbolic
    _symbolic = _Symbolic()  # a forked child has no business with its parent's helper


atexit.register(stop)
os.register_at_fork(after_in_child=_forget)
