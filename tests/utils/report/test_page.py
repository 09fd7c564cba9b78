"""The report in a real browser: it opens, filters, finds, shows, and stays deaf to hostile text."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import record, records
from tests.utils.report.test_credit import failing, run_of
from utils.metrics.judges.calibration import calibrate
from utils.metrics.judges.calibration_file import keep_calibration
from utils.records import Message, Solution, Usage, VerdictRecord
from utils.report.write import write_report
from utils.runs.read import Run
from utils.verdicts.labels import Labelled

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("no chromium on this machine (apt-get install chromium)", allow_module_level=True)

HOSTILE = (
    "<script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "</script><script>document.title='taken'</script>",
    "<style>body{display:none}</style><svg onload=alert(1)>",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "safe \u202egnp.exe\u202c end \u2066isolated\u2069",
    "$\\href{javascript:alert(1)}{x}$ $\\unknowncommand{<b>}$ $<b>bold</b>$",
    "{{ 7*7 }} ${7*7} `code` <!-- comment --> &lt;b&gt; &#60;i&#62;",
    "javascript:alert(1) data:text/html,<script>alert(1)</script>",
)


def decode(ids: Any) -> str:
    return bytes(i for i in ids if i > 1).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # No sandbox: containers have no user namespaces; the pages are our own.
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


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


def test_hostile_text_stays_text(browser: Any, tmp_path: Path, errors: list[str]) -> None:
    rows = []
    for i, text in enumerate(HOSTILE):
        r = record(i)
        said = [Message(role="teacher", content=f"<think>{text}</think>{text}", visible=text)]
        said.append(Message(role="student", content=text, visible=text))
        updates = {
            "problem": text,
            "problem_id": f"{i} {text}",
            "answer": text,
            "source": text,
            "messages": said,
            "student_name": text,
            "verdicts": {text: [VerdictRecord(decision="REJECT", reasoning=text)]},
            "solutions": [Solution(text=text, answer=text)],
            "error": text,
        }
        rows.append(r.model_copy(update=updates))
    run = Run(folder=tmp_path, name=HOSTILE[0], records=rows, config={HOSTILE[0]: HOSTILE[1]})
    path = write_report([run], tmp_path / "report.html")
    page = open_page(browser, path, errors)
    title = page.title()
    for i, text in enumerate(HOSTILE):
        page.locator(".row").nth(i).click()
        playwright.expect(page.locator(".reader .kicker")).to_contain_text(f"· {i} ")
        for fold in page.locator(".reader details").all():
            fold.evaluate("element => { element.open = true; }")
        shown = page.locator(".reader").inner_text()
        if "<" in text and "$" not in text and "`" not in text:
            assert text in shown
        if "\u202e" in text:
            assert "\u202e" not in shown and "⟨U+202E⟩" in shown
        if "\x1b" in text:
            assert "\x1b" not in shown and "␛[31m" in shown
    assert page.title() == title
    assert page.locator(".reader script, .reader style, .reader img, .reader a").count() == 0
    assert page.locator("script").count() == page.locator("body > script").count()
    page.close()
    assert errors == []


def test_policy_stops_scripts_that_are_not_ours(browser: Any, run_page: Path) -> None:
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda m: refused.append(m.text) if m.type == "error" else None)
    page.goto(run_page.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            try { script.textContent = "document.title = 'taken'"; } catch { return; }
            document.body.append(script);
        }"""
    )
    with pytest.raises(playwright.Error, match="TrustedHTML"):
        page.evaluate("() => { document.body.innerHTML = '<b>taken</b>'; }")
    assert page.title() != "taken"
    page.close()


MATH = {
    r"\frac{1}{2}": ("mfrac", 1),
    r"x^{2}+y_1": ("msup", 1),
    r"\sqrt[3]{8}": ("mroot", 1),
    r"\boxed{42}": ("mrow[style*=border]", 1),
    r"\begin{pmatrix}1&2\\3&4\end{pmatrix}": ("mtr", 2),
    r"\left(\dfrac{a}{b}\right)^n": ("mfrac", 1),
    r"\sum_{k=1}^{\infty}\frac{1}{k^2}": ("msubsup", 1),
    r"90^\circ \text{ in degrees}": ("mtext", 1),
    r"\begin{cases} x & x>0 \\ -x & x\le 0\end{cases}": ("mtd", 4),
    r"\overline{AB}\cong\overline{CD}": (".tml-overline", 2),
    r"\mathbb{R}": ("mi", 1),
    r"f'(x)=\lim_{h\to 0}\frac{f(x+h)-f(x)}{h}": ("msub", 1),
    r"\begin{align*}a &= 1 \\ b &= 2\end{align*}": ("mtr", 2),
    r"\mbox{a cake}": ("mtext", 1),
    r"\binom{n}{k}": ("mfrac", 1),
    r"1{,}000 \div 8 = 125\%": ("mn", 3),
}
NO_MATH = (
    r"\undefined{x}", r"\frac{1}", "{", r"\begin{pmatrix}1", r"\left( x", "a & b", "{" * 300,
    r"\sqrt{" * 500 + "x" + "}" * 500, r"\def\a{\a\a}\a", r"\href{https://a.b}{x}",
)  # fmt: skip


def test_math_is_typeset_or_left_as_it_was(browser: Any, tmp_path: Path, errors: list[str]) -> None:
    texts = [*(f"${source}$" for source in MATH), *(f"${source}$" for source in NO_MATH)]
    texts.append("She has $5 and he has $7, so $12.")
    rows = [record(i).model_copy(update={"problem": text}) for i, text in enumerate(texts)]
    path = write_report([Run(folder=tmp_path, name="m", records=rows)], tmp_path / "report.html")
    page = open_page(browser, path, errors)
    for i, text in enumerate(texts):
        page.evaluate(f"location.hash = '#c/0/eval/0/p{i:05d}/0'")
        playwright.expect(page.locator(".reader .kicker")).to_contain_text(f"p{i:05d}")
        statement = page.locator(".statement")
        if i < len(MATH):
            tag, wanted = MATH[text[1:-1]]
            assert statement.locator(tag).count() == wanted, text
            assert statement.locator("code").count() == 0, text
        else:
            assert statement.locator("math").count() == 0, text
            assert statement.inner_text() == text
    page.close()
    assert errors == []
