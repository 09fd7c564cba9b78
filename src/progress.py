"""What a rollout is doing, live: how many conversations stand in which state."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from src.dialog.conversation import State

log = logging.getLogger(__name__)
_SHORT = {
    State.START: "starting",
    State.TEACHER_TURN: "tutor",
    State.STUDENT_TURN: "student",
    State.NEXT_PROBLEM: "next problem",
    State.JUDGE_TURN: "judge",
    State.GENERATE_SOLUTION: "solving",
    State.REWARD_TURN: "reward",
}
LINE_EVERY_S = 20.0  # where there is no terminal


class Progress:
    """`with Progress("update 3", states, total):` one live line, or a log line now and then."""

    def __init__(self, title: str, states: Mapping[State, int], total: int) -> None:
        self.title, self.states, self.total = title, states, total
        self._console = Console(stderr=True)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._began = time.monotonic()

    def line(self) -> str:
        """E.g. `update 3  12/32 conversations  tutor 4  student 8  solving 8  (14 s)`."""
        counts = {name: self.states.get(state, 0) for state, name in _SHORT.items()}
        busy = "  ".join(f"{name} {n}" for name, n in counts.items() if n)
        done = self.states.get(State.END, 0)
        seconds = time.monotonic() - self._began
        return f"{self.title}  {done}/{self.total} conversations  {busy}  ({seconds:.0f} s)"

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        if kind is None:
            log.info("%s", " ".join(self.line().split()))

    def _watch(self) -> None:
        if not self._console.is_terminal:
            while not self._done.wait(LINE_EVERY_S):
                log.info("%s", self.line())
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            while not self._done.wait(0.25):
                live.update(Text(self.line(), style="cyan"))
