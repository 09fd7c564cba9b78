"""Both post-tests in the report, in a real browser: in a conversation, and the plane's height."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.synthetic import records
from tests.utils.report.pages import errors, open_page
from utils.records import Solution, TransferTest
from utils.report.conversations import index
from utils.report.write import write_report
from utils.runs.read import Run

__all__ = ["errors"]  # the fixture


def run(folder: Path, name: str, right: int) -> Run:
    rows = records(24)
    for row in rows:
        row.transfer = TransferTest(
            problem="<b>another</b> one", answer="99",
            initial_solutions=[Solution(text="cold", answer="1")] * 4,
            solutions=[Solution(text="warm", answer="99", correct=i < right) for i in range(4)],
        )  # fmt: skip
    config = {"generation": {"post_test": "both", "gain": name}}
    return Run(folder=folder, name=name, records=rows, config=config)


def test_both_results_stand_beside_a_conversation_and_the_plane_has_their_height(
    browser: Any, tmp_path: Path, errors: list[str]
) -> None:
    runs = [run(tmp_path, "a", 1), run(tmp_path, "b", 3)]
    path = write_report(runs, tmp_path / "report.html")
    page = open_page(browser, path, errors)
    numbers = page.locator("#headline table").first.inner_text()
    page.click("#plane button:has-text('Another problem')")
    axis = page.locator("#plane svg").text_content()
    page.locator(".list [role=option]").first.click()
    page.wait_for_selector(".reader .tests")
    sections = page.locator(".reader .tests section")
    shown = [sections.nth(i).inner_text() for i in range(sections.count())]
    forged = page.locator(".reader .tests b:text('another')").count()
    scores = page.locator(".reader .scores").inner_text()
    page.close()
    assert errors == []
    assert "Another problem, after" in numbers and "25" in numbers and "75" in numbers
    assert "solve rate of another problem" in axis
    assert "The problem itself" in shown[0] and "After the conversation" in shown[0]
    assert "<b>another</b> one" in shown[1] and "words hidden" in shown[1] and not forged
    assert "0 of 4 right" in shown[1] and "1 of 4 right" in shown[1]
    assert "another problem, 0% → 25% solved" in scores.replace("\u202f", "")


def test_a_page_without_another_problem_is_as_it_was() -> None:
    columns = index([(0, row) for row in records(3)])
    assert not [name for name in columns if name.startswith("transfer")]
