"""The terminal: what is typed, what is shown, and nothing that steers it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from src.dialog.conversation import Conversation, State
from src.sit_in.seat import Left, Said
from src.sit_in.terminal import Terminal, outcome
from tests.conftest import ROOT
from tests.synthetic import record
from utils.data.problems import Problem
from utils.records import load_run

PROBLEMS = [Problem(id=f"p{i}", text=f"What is {i}+{i}?", answer=str(2 * i)) for i in range(30)]


@pytest.fixture
def keyboard() -> Iterator[Any]:
    with create_pipe_input() as pipe:
        yield pipe


def terminal(keyboard: Any) -> Terminal:
    console = Console(file=StringIO(), width=100)
    return Terminal("student", console=console, input=keyboard, output=DummyOutput())


def shown(surface: Terminal) -> str:
    assert isinstance(surface.console.file, StringIO)
    return surface.console.file.getvalue()


def conversation() -> Conversation:
    return Conversation(
        problem=PROBLEMS[1],
        sample=0,
        seed=1,
        type="guided",
        student_name=None,
        student_persona="simple_student",
        state=State.STUDENT_TURN,
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("fine\r", Said(text="fine")),
        ("one\x1b\rtwo\r", Said(text="one\ntwo")),
        ("bye\x04", Said(text="bye", ends=True)),
        ("\x04", Said(text="", ends=True)),
        ("\r \rat last\r", Said(text="at last")),
    ],
)
async def test_keys(keyboard: Any, typed: str, said: Said) -> None:
    keyboard.send_text(typed)
    assert await terminal(keyboard).ask("message", conversation()) == said


async def test_control_c_leaves(keyboard: Any) -> None:
    keyboard.send_text("half a wor\x03")
    with pytest.raises(Left):
        await terminal(keyboard).ask("message", conversation())


async def test_a_problem_is_drawn_counted_or_looked_for(keyboard: Any) -> None:
    surface = terminal(keyboard)
    keyboard.send_text("\r")
    assert await surface.choose(PROBLEMS) is None
    keyboard.send_text("3\r")
    assert await surface.choose(PROBLEMS) == PROBLEMS[2]
    keyboard.send_text("no such words\r28+\r1\r")
    assert await surface.choose(PROBLEMS) == PROBLEMS[28]
    assert "No problem has these words." in shown(surface)


async def test_others_are_shown_once_and_cannot_steer(keyboard: Any) -> None:
    surface, talk = terminal(keyboard), conversation()
    talk.add("teacher", "<think>plan</think>Look\x1b[2J here", tokens=1, stop_reason="stop")
    surface.follow(talk)
    surface.follow(talk)
    assert shown(surface).count("Look here") == 1
    assert "plan" not in shown(surface) and "\x1b[2J" not in shown(surface)
    await asyncio.sleep(0)


def test_the_outcome_says_verdicts_plans_and_the_answer() -> None:
    kept = record(3, thinking=True)
    console = Console(file=StringIO(), width=100)
    kept.solutions = kept.solutions[:1]
    for part in outcome(kept, "student"):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "What the tutor planned" in text and "does not leak answer" in text
    assert f"The right answer is {kept.answer}" in text and "Your answer" in text


@pytest.mark.slow  # the toy's models are loaded
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_the_toy_student_answers_within_a_minute(tmp_path: Path) -> None:
    """From typing the command to the end of a conversation, on a terminal."""
    import pty

    lead, follower = pty.openpty()
    began = time.monotonic()
    run = subprocess.Popen(
        [sys.executable, "-m", "src.sit_in", "--as", "tutor", "--problem", "1",
         f"logging.save_dir={tmp_path}"],
        cwd=ROOT, stdin=follower, stdout=follower, stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    screen = Screen(lead)
    for waits_for, typed in (("tutor >", "Add the ones: 6+5?\r"), ("tutor >", "Now you.\x04")):
        screen.until(waits_for)
        os.write(lead, typed.encode())
    screen.until("The right answer is")
    assert time.monotonic() - began < 60
    screen.until("Problem (")
    os.write(lead, b"\x03")
    screen.until("report.html")
    assert run.wait(30) == 0
    [folder] = tmp_path.iterdir()
    assert [r.stop_reason for r in load_run(folder)] == ["tutor_ended"]


class Screen:
    """What a terminal has shown and nobody has looked at yet."""

    def __init__(self, lead: int) -> None:
        self.lead, self.seen = lead, b""

    def until(self, words: str) -> None:
        while words.encode() not in self.seen:
            new = os.read(self.lead, 65536)
            if b"\x1b[6n" in new:  # asked where the cursor is
                os.write(self.lead, b"\x1b[1;1R")
            self.seen += new
        self.seen = self.seen.partition(words.encode())[2]
