"""How long a report of many conversations takes to write, open, filter and search in Chromium.

python -m benchmarks.report [CONVERSATIONS]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import expect, sync_playwright

from tests.synthetic import records
from utils.records import ConversationRecord
from utils.report.write import write_report
from utils.runs.read import Run
from utils.seeding import keyed_rng

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["".join(keyed_rng("word", i).choices(LETTERS, k=2 + i % 8)) for i in range(5_000)]
CHOICES = {"leaked": "yes", "type": "guided", "solved": "all", "accepted": "rejected"}
# From a change of the menu to the second frame after it: the list has been drawn by then.
CHANGE = """([name, value]) => new Promise((done) => {
    const menu = document.querySelector(`select[name=${name}]`);
    const begin = performance.now();
    menu.value = value;
    menu.dispatchEvent(new Event("input", {bubbles: true}));
    menu.dispatchEvent(new Event("change", {bubbles: true}));
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
})"""


def decode(ids: Any) -> str:
    """The synthetic tutor's tokens are bytes."""
    return bytes(i for i in ids if i > 1).decode("utf-8", "replace")


def lengthened(row: ConversationRecord) -> ConversationRecord:
    """Eight messages of 80 words each: as long as a tutor's of 7B, and as hard to compress."""
    rng = keyed_rng("report benchmark", row.problem_id)
    messages = (row.messages * 8)[:8]
    texts = [f"{m.visible} {' '.join(rng.choices(WORDS, k=80))}" for m in messages]
    return row.model_copy(
        update={
            "messages": [
                m.model_copy(update={"content": text, "visible": text})
                for m, text in zip(messages, texts, strict=True)
            ]
        }
    )


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(count: int) -> None:
    rows = [lengthened(row) for row in records(count, thinking=True, tokens=True)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "report.html"
        run = Run(folder=Path(folder), name=f"{count} conversations", records=rows)
        wrote = seconds(lambda: write_report([run], path, decoders=[decode], most=count))
        print(
            f"{count} conversations, {path.stat().st_size / 1e6:.1f} MB, written in {wrote:.1f} s"
        )
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opened = []
        for _ in range(5):
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector(".reader .turn")
            opened.append(time.perf_counter() - began)
        print(f"open to the first conversation: {_spread(opened)} s")
        filtered = []
        for _ in range(5):
            for name, value in CHOICES.items():
                filtered += [
                    page.evaluate(CHANGE, [name, value]),
                    page.evaluate(CHANGE, [name, ""]),
                ]
        print(f"a filter set or taken back, to the drawn list: {_spread(filtered)} ms")
        found = page.locator(".tally-line")
        for text in ("nearly", "simpler case"):

            def search(text: str = text) -> None:
                page.fill("#search", text)
                expect(found).to_contain_text(" of ", timeout=60_000)

            print(f"search for {text!r}: {seconds(search):.2f} s, {found.inner_text()}")
            page.click("button[type=reset]")
            expect(found).not_to_contain_text(" of ")
        browser.close()


def _spread(values: list[float]) -> str:
    return f"median {median(values):.3g}, worst {max(values):.3g} (n {len(values)})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
