"""The process that math-verify runs in: it forks for every question, under the kernel's limits.

python -m utils.answers.symbolic_worker SOCKET_DESCRIPTOR PARENT_PID

Started by utils.answers.symbolic.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

from utils.answers.forms import equal_forms
from utils.answers.leaf import Read, leaves_equal, read

CPU_LIMIT_S, WALL_LIMIT_S = 2.0, 20.0  # wall is longer: a busy machine changes no answer
MEMORY_BYTES = 2**30
_WARM = (
    ("x^2+3x-6", "-6+x^2+3x"), ("x^2+5x-6", "x^2+3x-6"), (r"\frac{2\sqrt{3}}{x}", r"\cot x"),
    ("2(k+1)", "2k+2"), ("2x+y=1", "2x-y=1"), ("x_1", r"\log_2 8"), (r"x+y \le 2", "x+y>3"),
    (r"12\sqrt{5}", r"\sqrt{7} \cdot 3"), (r"12\pi", r"\frac{\pi}{3}+1"), ("2^{10}", "5!"),
    (r"\frac{1+\sqrt{5}}{2}", "1.618034"),
)  # fmt: skip


def serve(control: socket.socket, parent: int) -> None:
    """Answer until the other end closes, or the parent is no longer the parent."""
    control.sendall(b"!")
    control.settimeout(1.0)  # not select(), which knows no descriptor above 1023
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except TimeoutError:
            if os.getppid() != parent:
                return
            continue
        if not message:
            return
        if os.fork() == 0:
            _answer_and_exit(descriptors[0])
        os.close(descriptors[0])


def _answer_and_exit(descriptor: int) -> None:
    """In the child: limits first, then the question."""
    try:
        _limit()
        with socket.socket(fileno=descriptor) as connection:
            question = b"".join(iter(lambda: connection.recv(65536), b""))
            a, b = json.loads(question)
            verdict = equal_forms(a, b, leaf_by_sympy)
            connection.sendall(b"1" if verdict else b"0")
    finally:
        os._exit(0)


def _limit() -> None:
    """Default actions of these signals end the process, also inside C code."""
    for name in (signal.SIGALRM, signal.SIGPROF, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the helper


_libc: Any = ctypes.CDLL(None)


def leaf_by_sympy(a: str, b: str) -> bool | None:
    """Plain Python where it can tell, else math-verify."""
    verdict = leaves_equal(a, b)
    if verdict is not None:
        return verdict
    from utils.answers.expressions import same_expression  # sympy: in the helper only

    x, y = read(a), read(b)
    if x.sides or y.sides:
        asked = [(side, one.text) for one in (x, y) for side in one.sides]
        return all(leaf_by_sympy(*pair) for pair in [*asked, (x.text, y.text)])
    return same_expression(_shown(x, y), _shown(y, x))


def _shown(one: Read, other: Read) -> str:
    """The text; "y = " goes back before it where the other side is an equation."""
    return f"{one.name}={one.text}" if one.name and "=" in other.text else one.text


def main(arguments: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    control = socket.socket(fileno=int(arguments[0]))
    for a, b in _WARM:  # fill sympy's and the parser's caches, which children inherit
        leaf_by_sympy(a, b)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(ConnectionError, BrokenPipeError):  # the parent went away
        serve(control, int(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
