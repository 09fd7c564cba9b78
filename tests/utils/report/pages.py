"""Pages of the report in a real browser: written, opened, and what they complain of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import records
from utils.report.write import write_report
from utils.runs.read import Run


def decode(ids: Any) -> str:
    return bytes(i for i in ids if i > 1).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = records(300, thinking=True, tokens=True)
    rows[7].messages[-2].visible = "Think of the zebra crossing."
    trained = [r for step in range(6) for r in records(8, step=step, split="train")]
    run = Run(
        folder=folder,
        name="a run",
        records=[*trained, *[r.model_copy(update={"step": 6}) for r in rows]],
        curve=[{"step": s, "kl": 0.01 * s, "loss": 0.1} for s in range(6)],
        config={"generation": {"max_turns": 16}},
    )
    return write_report([run], folder / "report.html", decoders=[decode], paper=True)


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def page(browser: Any, run_page: Path, errors: list[str]) -> Iterator[Any]:
    opened = open_page(browser, run_page, errors)
    yield opened
    opened.close()
    assert errors == []


def open_page(browser: Any, path: Path, errors: list[str], fragment: str = "") -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda r: errors.append(r.url) if not r.url.startswith("file:") else None)
    page.goto(path.as_uri() + fragment)
    page.wait_for_selector("html[data-ready=yes]")
    page.wait_for_selector(".reader .turn")
    return page


def tally(page: Any) -> str:
    return page.locator(".tally-line").inner_text()
