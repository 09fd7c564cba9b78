"""Asks an engine for signs of life, and kills one that gives none: a hang becomes a death."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading

import psutil

from src.vllm.engine import Engine

PAUSE_S = 5.0  # between two signs of life
AGAIN_S = 10.0  # for a second question, after a first one without an answer


def watch(engine: Engine, limit_s: float, stop: threading.Event) -> None:
    """Until the engine is dead or `stop` is set: kill it if it gives no answer for `limit_s`.

    Then it is asked once more: where the whole machine stood still meanwhile, it answers now.  A
    lost connection is a death, which others notice.
    """
    pause = min(PAUSE_S, limit_s / 4)
    while not stop.wait(pause) and engine.alive():
        if _silent(engine, limit_s) and _silent(engine, min(AGAIN_S, limit_s)):
            if engine.alive() and not stop.is_set():
                _kill(engine, limit_s)
            return


def _silent(engine: Engine, seconds: float) -> bool:
    try:
        engine.control.probe(seconds)
    except TimeoutError:
        return True
    except (OSError, http.client.HTTPException):
        return False
    return False


def _kill(engine: Engine, limit_s: float) -> None:
    """SIGKILL what the engine's supervisor runs; it then cleans up and ends.

    What it died of goes to its log, where whoever finds it dead will look.
    """
    with engine.log.open("a") as log:
        print(
            f"error: it hung: no sign of life for {limit_s:.0f} s (engines.hang_timeout_s)",
            file=log,
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(engine.pid)
        below = supervisor.children(recursive=True)
        supervisor.send_signal(signal.SIGCONT)  # it may have been stopped as well
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
