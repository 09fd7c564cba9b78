"""The page in a real browser: keyboard only, on a phone's width, deaf to hostile text."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.background import Background
from tests.conftest import ROOT
from tests.fault_server import FaultServer, ok
from tests.src.sit_in.hosted import PROBLEMS
from utils.records import load_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "<img src=x onerror=\"document.title='taken'\"> </script><script>alert(1)</script>"
TUTOR = [
    ok(f"<think>They forget to carry.</think>What are the ones? {HOSTILE}"),
    ok("It is 85. <end_of_conversation>"),
]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A page as the command serves it, whose tutor is a server on loopback."""
    (tmp_path / "problems.csv").write_text(PROBLEMS)
    with Background() as loop:
        server = FaultServer(TUTOR)
        loop.run(server.__aenter__())
        command = [
            sys.executable, "-m", "src.sit_in", "--as", "student", "--web",
            f"teacher_model.base_url={server.base_url}", "teacher_model.model_name_or_path=m",
            f"dataset.eval_datasets=[{{name_or_path: {tmp_path / 'problems.csv'}}}]",
            f"logging.save_dir={tmp_path / 'runs'}",
        ]  # fmt: skip
        run = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        stop = threading.Timer(60, run.kill)
        stop.start()
        try:
            assert run.stdout is not None
            found = re.search(r"Open (\S+)", run.stdout.readline())
            assert found, run.communicate()[1]
            yield found[1]
            said, complaint = run.communicate(timeout=30)
            assert (run.returncode, complaint) == (0, ""), complaint
            assert "report.html" in said
        finally:
            stop.cancel()
            run.kill()
            loop.run(server.__aexit__())


def open_page(browser: Any, address: str, width: int, errors: list[str]) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(address) else errors.append(r.url))
    page.goto(address)
    return page


def phase(page: Any, name: str) -> None:
    page.wait_for_selector(f"html[data-phase={name}]")


def fits(page: Any) -> bool:
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


def test_a_conversation_by_keyboard_alone_on_a_phone(
    browser: Any, address: str, tmp_path: Path
) -> None:
    errors: list[str] = []
    page = open_page(browser, address, 390, errors)
    keys = page.keyboard
    phase(page, "choose")
    assert fits(page)
    keys.type("47+38")  # the search has the focus
    playwright.expect(page.locator(".problems button")).to_have_count(1)
    keys.press("Tab")
    keys.press("Enter")
    phase(page, "ask")
    assert fits(page)
    assert "They forget" not in page.inner_text("body")
    assert "<img src=x" in page.inner_text(".turns")
    keys.type("First line")
    keys.press("Shift+Enter")
    keys.type("15")
    page.reload()  # what was not sent is gone, the conversation is not
    phase(page, "ask")
    keys.type("15")
    keys.press("Enter")
    page.wait_for_selector("text=your final answer")
    keys.type("85")
    keys.press("Enter")
    phase(page, "over")
    assert fits(page)
    assert "Your answer 85 is right" in page.inner_text("main")
    assert page.locator(".verdict").count() > 0
    page.locator(".think summary").first.focus()
    keys.press("Enter")
    assert "They forget to carry" in page.inner_text(".think")
    page.locator("#next").focus()
    keys.press("Enter")
    phase(page, "choose")
    page.locator("#leave").focus()
    keys.press("Enter")
    phase(page, "left")
    assert page.title() == "Sit in as the student"
    page.close()
    assert errors == []
    [folder] = (tmp_path / "runs").iterdir()
    [record] = load_run(folder)
    assert (record.split, record.solutions[0].correct) == ("human", True)
    assert [m.visible for m in record.messages[1::2]] == ["15"]


def status_of(address: str, **headers: str) -> int:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_who_was_given_the_address_gets_in(browser: Any, address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    root = re.sub(r"[^/]+/$", "", address)
    assert status_of(address) == 200
    assert status_of(root) == 404
    assert status_of(root + "a" * 22 + "/state") == 404
    assert status_of(address, Host="evil.example") == 403
    assert status_of(address, Origin="http://evil.example") == 403
    errors: list[str] = []
    page = open_page(browser, address, 1280, errors)
    phase(page, "choose")
    page.click("text=Draw one")
    phase(page, "ask")
    page.keyboard.press("Control+Enter")  # ends it without a word
    page.wait_for_selector("text=your final answer")
    page.keyboard.press("Enter")
    phase(page, "over")
    assert "The student ended the conversation." in page.inner_text("main")
    page.click("#leave")
    phase(page, "left")
    page.close()
    assert errors == []
