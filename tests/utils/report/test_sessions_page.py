"""Sessions in the report, in a real browser: help by position, and problem by problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.utils.metrics.test_sessions import session
from tests.utils.report.pages import errors, open_page
from utils.records import VerdictRecord
from utils.report.sessions import taught_problems, taught_solutions
from utils.report.write import write_report
from utils.runs.read import Run

__all__ = ["errors"]  # the fixture


def held(tokens: list[list[int]], sample: int = 0):  # type: ignore[no-untyped-def]
    return session(
        tokens, alone=[(1, 4), (2, 4)], helped=[(4, 4), (3, 4)], last=(3, 4), sample=sample,
        split="eval",
        verdicts={"does_not_leak_answer": [VerdictRecord(decision="REJECT", problem=1)]},
    )  # fmt: skip


def test_what_the_page_is_told_of_a_session() -> None:
    record = held([[30, 10], [5]])
    assert [(t["tokens"], t["alone"], t["helped"]) for t in taught_problems(record, str)] == [
        (40.0, 0.25, 1.0), (5.0, 0.5, 0.75),
    ]  # fmt: skip
    solved = taught_solutions(record, lambda s: {"correct": s.correct})
    assert [len(t["alone"]) + len(t["helped"]) for t in solved] == [8, 8]


def test_a_session_is_shown_problem_by_problem(
    browser: Any, tmp_path: Path, errors: list[str]
) -> None:
    records = [held([[30, 10], [5]], sample=0), held([[20], [15]], sample=1)]
    run = Run(folder=tmp_path, name="s", records=records, config={})
    path = write_report([run], tmp_path / "report.html")
    page = open_page(browser, path, errors)
    table = page.locator("#sessions table").inner_text()
    page.locator(".list [role=option]").first.click()
    page.wait_for_selector(".reader .taught")
    taught = page.locator(".reader .taught")
    texts = [taught.nth(i).inner_text() for i in range(taught.count())]
    verdicts = page.locator(".reader .verdicts").inner_text()
    page.close()
    assert errors == []
    numbers = ("30.0", "10.0", "25.0\u202f%")
    for words in ("3, without tutor", "Tutor's tokens", *numbers, "Kept until the next"):
        assert words in table, table
    assert [f"Problem {i + 1} of 3" in text for i, text in enumerate(texts)] == [True, True]
    assert "What is 1 + 1?" in texts[1] and "What is 0 + 1?" not in texts[1]
    assert "problem 2" in verdicts
