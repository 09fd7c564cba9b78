"""Texts of conversations in a real browser: hostile ones stay text, mathematics is typeset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import record
from tests.utils.report.pages import errors, open_page, run_page
from utils.records import Message, Solution, VerdictRecord
from utils.report.write import write_report
from utils.runs.read import Run

__all__ = ["errors", "run_page"]  # the fixtures
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
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
