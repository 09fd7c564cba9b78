"""The processes that math-verify runs in: their limits, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.answers import symbolic, symbolic_worker

ROOT = Path(__file__).parents[3]
BLOW_UP = ("10^{10^{10}}", "5")
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def wait_until(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [child for child in found if alive(child)]


def test_sympy_decides_what_plain_python_cannot() -> None:
    assert symbolic.compare("2(k+1)", "2k+2") is True
    assert symbolic.compare("2(k+1)", "2k+1") is False


def test_with_a_thousand_files_open() -> None:
    """As in a batch of a thousand requests: descriptors above what select() knows."""
    code = """
import os
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
from utils.answers import symbolic
print(symbolic.compare("2(k+1)", "2k+2"), symbolic.compare("2(k+1)", "2k+1"))
"""
    done = subprocess.run(
        ["bash", "-c", 'ulimit -n 2000; exec "$0" -c "$1"', sys.executable, code],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "True False\n", done.stderr[-2000:]


def test_a_blow_up_is_ended_and_the_next_question_answered() -> None:
    symbolic.start()
    helper = symbolic._symbolic.helper
    assert helper is not None
    assert symbolic.compare(*BLOW_UP) is None
    assert symbolic._symbolic.helper is helper, "the kernel ended it; the helper goes on"
    assert children(helper.process.pid) == []
    assert symbolic.compare("x+x", "2x") is True


def test_many_threads_get_their_own_answers() -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        if not symbolic.compare(f"x+{number}", f"{number}+x"):
            wrong.append(number)
        if symbolic.compare(f"x+{number}", f"{number + 1}+x") is not False:
            wrong.append(-number)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_killed_helper_is_replaced() -> None:
    symbolic.start()
    helper = symbolic._symbolic.helper
    assert helper is not None
    os.kill(helper.process.pid, signal.SIGKILL)
    helper.process.wait()
    assert symbolic.compare("x+1", "1+x") is True
    replaced = symbolic._symbolic.helper
    assert replaced is not None
    assert replaced.process.pid != helper.process.pid


def test_sigkill_of_the_parent_leaves_nothing_behind() -> None:
    """Killed in the middle of a blow-up: the helper goes, and the question's process with it."""
    program = (
        "from utils.answers import symbolic; symbolic.start();"
        "print(symbolic._symbolic.helper.process.pid, flush=True);"
        f"symbolic.compare({BLOW_UP[0]!r}, {BLOW_UP[1]!r})"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        helper = int(parent.stdout.readline())
        assert wait_until(lambda: bool(children(helper))), "the question has its own process"
        asked = children(helper)
        parent.kill()
    assert wait_until(lambda: not alive(helper))
    assert wait_until(lambda: not any(map(alive, asked)))


def test_an_ordinary_end_leaves_nothing_behind() -> None:
    program = (
        "from utils.answers import symbolic; symbolic.start();"
        "print(symbolic._symbolic.helper.process.pid, flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not alive(int(done.stdout))


def test_a_forked_child_has_a_helper_of_its_own() -> None:
    symbolic.start()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            fresh = symbolic._symbolic.helper is None
            code = 0 if fresh and symbolic.compare("x+1", "1+x") else 1
            symbolic.stop()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert symbolic.compare("x+3", "3+x") is True


def test_wall_time_is_longer_than_processor_time() -> None:
    assert 0 < symbolic_worker.CPU_LIMIT_S < symbolic_worker.WALL_LIMIT_S
