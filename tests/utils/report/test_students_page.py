"""The report's section of measured students, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.synthetic import records
from tests.utils.report.pages import errors, open_page
from utils.report.write import write_report
from utils.runs.read import Run

__all__ = ["errors"]  # the fixture


def test_students_stand_first_and_no_mean_over_all_help(
    browser: Any, tmp_path: Path, errors: list[str]
) -> None:
    rows = records(360, samples=6)
    for number, row in enumerate(rows):
        row.help = ("targeted", "misaligned", "generic")[number % 3]
        row.student_persona = "shy_one" if number % 6 < 3 else "<b>bold</b>"
        row.student_kind, row.stop_reason = "archetype", "tutor_ended"
        row.student_held_out = row.student_persona == "shy_one"
    run = Run(folder=tmp_path, name="m", records=rows, config={"eval": {"task": "students"}})
    path = write_report([run], tmp_path / "report.html")
    page = open_page(browser, path, errors)
    table = page.locator("#students table").inner_text()
    assert page.locator("#headline, #rewards, #plane").count() == 0
    assert page.locator("#students b").count() == 0
    page.close()
    assert errors == []
    assert "shy one" in table and "held out" in table and "<b>bold</b>" in table
    for words in ("Targeted", "Misaligned", "Generic", "Selectivity"):
        assert words in table
