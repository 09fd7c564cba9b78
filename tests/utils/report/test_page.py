"""The report in a real browser: it opens, filters, finds and shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import records
from tests.utils.report.pages import errors, open_page, page, run_page, tally
from tests.utils.report.test_credit import failing, run_of
from utils.metrics.judges.calibration import calibrate
from utils.metrics.judges.calibration_file import keep_calibration
from utils.records import Usage
from utils.report.write import write_report
from utils.runs.read import Run
from utils.verdicts.labels import Labelled

__all__ = ["errors", "page", "run_page"]  # the fixtures
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def test_opens_with_every_section_and_no_console_error(page: Any) -> None:
    for section in ("headline", "plane", "curves", "rewards", "monitors", "groups"):
        assert page.locator(f"#{section}").count() == 1, section
    assert page.locator("#curves .chart").count() >= 8
    assert page.locator("#plane .paper").count() > 15
    assert tally(page) == "348 conversations"
    assert page.locator("math").count() > 0


def test_filters_leave_what_they_say(page: Any, run_page: Path) -> None:
    rows = records(300, thinking=True, tokens=True)
    page.select_option("select[name=split]", "eval")
    page.select_option("select[name=leaked]", "yes")
    leaked = sum(r.verdicts["does_not_leak_answer"][0].decision == "REJECT" for r in rows)
    assert tally(page) == f"{leaked} of 348 conversations"
    page.select_option("select[name=type]", "guided")
    page.select_option("select[name=solved]", "all")
    page.fill("input[name=least]", "0.2")
    expected = [
        r
        for r in rows
        if r.verdicts["does_not_leak_answer"][0].decision == "REJECT"
        and r.type == "guided"
        and all(s.correct for s in r.solutions)
        and r.rewards["total"] >= 0.2
    ]
    assert tally(page) == f"{len(expected)} of 348 conversations"
    page.select_option("select[name=accepted]", "accepted")
    assert tally(page) == "0 of 348 conversations"
    page.click("button[type=reset]")
    assert tally(page) == "348 conversations"


def test_search_finds_the_one_and_marks_it(page: Any) -> None:
    page.fill("#search", "Zebra Crossing")
    playwright.expect(page.locator(".tally-line")).to_have_text("1 of 348 conversations")
    page.locator(".row").first.click()
    page.wait_for_selector(".reader mark")
    assert page.locator(".reader mark").first.inner_text() == "zebra crossing"


def test_list_draws_only_what_is_in_sight(page: Any) -> None:
    assert page.locator(".row").count() < 40
    page.evaluate("document.querySelector('.list').scrollTop = 1e9")
    page.wait_for_selector(".row[aria-posinset='348']")
    assert page.locator(".row").count() < 40


def test_keys_move_through_the_list(page: Any) -> None:
    page.locator(".list").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    selected = page.locator(".row[aria-selected=true]")
    assert selected.get_attribute("aria-posinset") == "4"
    page.keyboard.press("End")
    assert page.locator(".row[aria-selected=true]").get_attribute("aria-posinset") == "348"


def test_conversation_shows_thinking_folded_verdicts_and_solutions(page: Any) -> None:
    page.select_option("select[name=split]", "eval")
    page.select_option("select[name=leaked]", "yes")
    page.locator(".row").first.click()
    page.wait_for_selector(".verdict.reject")
    thinking = page.locator(".think").first
    assert thinking.get_attribute("open") is None
    assert not thinking.locator(".prose").is_visible()
    thinking.locator("summary").click()
    assert "do not say so" in thinking.locator(".prose").inner_text()
    assert "the answer is stated" in page.locator(".verdict.reject").first.inner_text()
    assert page.locator(".solutions").count() == 2
    assert page.locator(".turn.tutor .bubble").count() > 0


def test_tokens_are_shaded_and_are_the_turn(page: Any) -> None:
    page.select_option("select[name=split]", "eval")
    page.locator(".row").first.click()
    page.wait_for_selector("#shade:visible")
    page.click("#shade")
    page.wait_for_selector(".token")
    text = page.locator(".tokens").first.inner_text()
    assert text.startswith("<think>") and "</think>" in text  # as sampled, its planning too
    assert "logprob" in page.locator(".token").first.get_attribute("title")


def test_each_tutor_turn_has_a_bar_of_what_it_earned(
    browser: Any, tmp_path: Path, errors: list[str]
) -> None:
    run = run_of(failing())
    path = write_report([run], tmp_path / "report.html")
    page = open_page(browser, path, errors)
    tutors = page.locator(".turn.tutor").count()
    assert page.locator(".turn.tutor .gauge i").count() == tutors > 0
    first = page.locator(".turn.tutor").first
    assert "unheard" in first.get_attribute("class")
    assert "not shown to the student" in first.locator(".speaker").inner_text()
    said = first.locator(".credit").inner_text()
    assert said.startswith("advantage ") and "0.5, a cost of 0.5 in it" in said
    down, gauge = (first.locator(s).bounding_box() for s in (".gauge .down", ".gauge"))
    assert 0 < down["width"] <= gauge["width"] / 2 and down["x"] >= gauge["x"] - 0.5
    assert first.locator(".turnrule.reject").count() == 1
    page.close()
    assert errors == []


def test_address_opens_the_conversation(browser: Any, run_page: Path, errors: list[str]) -> None:
    page = open_page(browser, run_page, errors, "#c/0/eval/6/p00042/0")
    page.wait_for_selector(".row[aria-selected=true]")
    assert "p00042" in page.locator(".reader .kicker").inner_text()
    page.close()
    assert errors == []


def test_judges_stand_beside_people_where_they_were_measured(
    browser: Any, tmp_path: Path, errors: list[str]
) -> None:
    row = Labelled(
        conversation="c", problem="p", answer="1", turns=(), rejected=True, group="<b>told</b>"
    )
    usage = Usage(requests=2, cost_usd=0.25)
    keep_calibration(
        tmp_path, calibrate("my rule", "people.jsonl", [(row, ["REJECT"])], usage=usage)
    )
    run = Run(folder=tmp_path, name="r", records=records(6))
    page = open_page(browser, write_report([run], tmp_path / "r.html"), errors)
    cells = page.locator("#calibration tbody").first.locator("td").all_inner_texts()
    assert cells[:3] == ["my rule", "people.jsonl", "1"]
    assert cells[-2:] == ["1", "$0.250"]
    page.locator("#calibration summary").click()
    assert page.locator("#calibration details td").all_inner_texts() == ["<b>told</b>", "1", "1"]
    page.close()
    assert errors == []


def test_theme_switches(page: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != light
