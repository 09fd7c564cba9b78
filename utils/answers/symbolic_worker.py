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
from utils.answers.leaf import leaves_equal, read

CPU_LIMIT_S, WALL_LIMIT_S = 2.0, 20.0  # wall is longer: a busy machine changes no answer
MEMORY_BYTES = 2**30
_WARM = (r"x^2+3x-6", r"\frac{2\sqrt{3}}{x}", r"\cot x", r"2(k+1)", r"y=2x+1", r"x_1", r"\log_2 8")


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
    """Plain Python where it can tell, else math-verify (its own time-outs off)."""
    verdict = leaves_equal(a, b)
    if verdict is not None:
        return verdict
    x, y = read(a), read(b)
    return _verify(_shown(x.text, x.name, y.text), _shown(y.text, y.name, x.text))


def _shown(text: str, name: str, other: str) -> str:
    """As LaTeX; "y = " goes back before it where the other side is an equation."""
    text = f"{name}={text}" if name and "=" in other else text
    return text.replace("⦃", r"\{").replace("⦄", r"\}").replace("⟨", r"\text{").replace("⟩", "}")


def _verify(a: str, b: str) -> bool:
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import parse, verify
    from math_verify.parser import LatexExtractionConfig

    spelling = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none",
        equations=False,
    )  # fmt: skip

    def parsed(text: str) -> Any:
        return parse(
            f"${text}$",
            extraction_config=[LatexExtractionConfig(normalization_config=spelling)],
            fallback_mode="no_fallback",
            parsing_timeout=None,
        )

    x, y = parsed(a), parsed(b)
    if not x or not y:
        return False
    return bool(verify(x, y, timeout_seconds=None) or verify(y, x, timeout_seconds=None))


def main(arguments: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    control = socket.socket(fileno=int(arguments[0]))
    for text in _WARM:  # fill sympy's and the parser's caches, which children inherit
        _verify(text, f"{text}+0")
    gc.collect()
    gc.freeze()
    with contextlib.suppress(ConnectionError, BrokenPipeError):  # the parent went away
        serve(control, int(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
