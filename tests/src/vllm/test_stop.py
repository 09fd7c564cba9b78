"""Stopping engines, cut short by another Ctrl-C: sockets and weights go all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.schema import EngineSettings
from src.vllm.engines import EngineSet

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


class Told(BaseException):
    """What the signal raises, as the launcher's does."""


def test_a_stop_that_is_interrupted_leaves_no_folder(tmp_path: Path) -> None:
    def tell(*_: object) -> None:
        raise Told

    engines = EngineSet([], EngineSettings(weights_dir=str(tmp_path)), tmp_path / "run")
    weights = engines._private_folder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        engines._processes["teacher"] = server
        before = signal.signal(signal.SIGUSR1, tell)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        try:
            with pytest.raises(Told):
                engines.stop()
        finally:
            signal.signal(signal.SIGUSR1, before)
            server.kill()
    assert not weights.exists()
