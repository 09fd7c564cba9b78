"""The report's section of measured students, in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.synthetic import records
from utils.report.write import write_report
from utils.runs.read import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("no chromium on this machine (apt-get install chromium)", allow_module_level=True)


def test_students_stand_first_and_no_mean_over_all_help(tmp_path: Path) -> None:
    rows = records(360, samples=6)
    for number, row in enumerate(rows):
        row.help = ("targeted", "misaligned", "generic")[number % 3]
        row.student_persona = "shy_one" if number % 6 < 3 else "<b>bold</b>"
        row.student_kind, row.stop_reason = "archetype", "tutor_ended"
        row.student_held_out = row.student_persona == "shy_one"
    run = Run(folder=tmp_path, name="m", records=rows, config={"eval": {"task": "students"}})
    path = write_report([run], tmp_path / "report.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, errors = browser.new_page(), list[str]()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        table = page.locator("#students table").inner_text()
        assert page.locator("#headline, #rewards, #plane").count() == 0
        assert page.locator("#students b").count() == 0
        browser.close()
    assert errors == []
    assert "shy one" in table and "held out" in table and "<b>bold</b>" in table
    for words in ("Targeted", "Misaligned", "Generic", "Selectivity"):
        assert words in table
