"""The report for a stranger: a screen reader, a phone, paper, and a word for every number."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from src.embedded import cache_folder
from tests.synthetic import records
from utils.report.write import write_report
from utils.runs.read import Run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

AXE = "axe-core@4.14.1"
FINDINGS = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => [one.id, ...one.nodes.map(node => node.failureSummary + node.html).slice(0, 4)]))"""
CONFIG = {
    "teacher_model": {"model_name_or_path": "org/a-tutor"},
    "generation": {"extra_penalty_for_rejected_judges": 0.75, "ignore_rejected_judge": True},
    "logging": {"wandb_project": "", "save_dir": "runs"},
}


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script, from the npm registry once into the user's cache folder."""
    kept = cache_folder() / f"{AXE.replace('@', '-')}.js"
    if not kept.exists():
        npm = shutil.which("npm") or pytest.skip("no npm on this machine")
        done = subprocess.run(
            [npm, "pack", "--silent", AXE, "--pack-destination", str(kept.parent)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"{AXE} cannot be had: {done.stderr.strip()[-200:]}")
        packed = kept.parent / done.stdout.split()[-1]
        with tarfile.open(fileobj=io.BytesIO(packed.read_bytes())) as tar:
            script = tar.extractfile("package/axe.min.js")
            assert script is not None
            kept.write_bytes(script.read())
        packed.unlink()
    return kept.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A training run's page, and one of two runs side by side."""
    folder = tmp_path_factory.mktemp("report")
    rows = records(60, samples=2, thinking=True, tokens=True)
    trained = [r for step in range(6) for r in records(8, step=step, split="train")]
    late = [r.model_copy(update={"step": 6}) for r in rows]
    curve = [{"step": s, "kl": 0.01 * s, "loss": 0.1} for s in range(6)]
    first = Run(folder=folder, name="a run", records=[*trained, *late], curve=curve, config=CONFIG)
    other = CONFIG | {"generation": {"extra_penalty_for_rejected_judges": 0.0}}
    second = Run(folder=folder, name="another", records=records(60, leak=0.8), config=other)
    return {
        "one": write_report([first], folder / "one.html", paper=True),
        "two": write_report([first, second], folder / "two.html"),
    }


def open_page(browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(path.as_uri())
    page.wait_for_selector(".reader .turn")
    return page


@pytest.mark.parametrize(
    ("which", "width", "scheme"),
    [("one", 1280, "light"), ("one", 390, "dark"), ("two", 390, "light"), ("two", 1280, "dark")],
)
def test_a_screen_reader_meets_nothing_serious(
    browser: Any, pages: dict[str, Path], axe: str, which: str, width: int, scheme: str
) -> None:
    page = open_page(browser, pages[which], width=width, scheme=scheme)
    for fold in page.locator("details").all():
        fold.evaluate("element => { element.open = true; }")
    page.evaluate(axe)
    assert page.evaluate(FINDINGS) == []
    page.close()


def test_on_a_phone_nothing_is_cut_and_letters_stay_legible(
    browser: Any, pages: dict[str, Path]
) -> None:
    for path in pages.values():
        page = open_page(browser, path, width=390)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        sizes = page.evaluate(
            """[...document.querySelectorAll("svg text")].map(text => {
                const box = text.ownerSVGElement.viewBox.baseVal;
                const scale = text.ownerSVGElement.getBoundingClientRect().width / box.width;
                return parseFloat(getComputedStyle(text).fontSize) * scale; })"""
        )
        assert sizes and min(sizes) >= 9
        page.close()


def test_every_number_has_a_sentence_on_hover_and_in_the_legend(
    browser: Any, pages: dict[str, Path]
) -> None:
    page = open_page(browser, pages["one"])
    for selector in (".tile", ".monitor", "#rewards .legend li"):
        titles = [e.get_attribute("title") for e in page.locator(selector).all()]
        assert titles and all(title and title.count(" ") > 3 for title in titles), selector
    words = page.locator("#meaning dt").all_text_contents()
    shown = page.locator(".monitor h3, #groups thead th").all_text_contents()
    assert set(shown) - {"", "n"} <= set(words)
    page.close()
    page = open_page(browser, pages["two"])
    heads = page.locator("table.runs").first.locator("thead th").all()[1:]
    assert heads and all(head.get_attribute("title") for head in heads)
    page.close()


def test_monitors_say_their_bounds_and_state(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["one"])
    openings = page.locator(".monitor", has_text="Distinct openings")
    assert "Rings at 0.2 or less, or below 0.4 of its start." in openings.inner_text()
    assert openings.locator(".state, em").inner_text() in ("quiet", "alarm")
    page.close()


def test_the_top_says_lambda_and_models_and_settings_stay_beside_their_values(
    browser: Any, pages: dict[str, Path]
) -> None:
    page = open_page(browser, pages["one"])
    assert "λ 0.75, soft · tutor org/a-tutor" in page.locator("header.top").inner_text()
    page.locator("#settings summary").click()
    rows = page.locator(".settings div")
    boxes = [
        (row.locator("dt").bounding_box(), row.locator("dd").bounding_box()) for row in rows.all()
    ]
    assert len(boxes) > 4 and all(abs(dt["y"] - dd["y"]) < 2 for dt, dd in boxes)
    assert "(empty)" in rows.all_text_contents()[-2] + rows.all_text_contents()[-1]
    page.close()


def test_a_link_leads_to_the_conversation(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["one"])
    page.locator(".row").nth(3).click()
    page.wait_for_function(
        "document.querySelector('.row[aria-selected=true]').ariaPosInSet === '4'"
    )
    page.wait_for_function("document.querySelector('#permalink').hash === location.hash")
    link, said = page.locator("#permalink"), page.locator(".reader .kicker").inner_text()
    address = link.evaluate("element => element.href")
    page.close()
    page = browser.new_page()
    page.goto(address)
    playwright.expect(page.locator(".reader .kicker")).to_have_text(said)
    page.close()


def test_paper_has_the_numbers_the_legend_and_the_open_conversation(
    browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    page = open_page(browser, pages["one"])
    page.pdf(path=str(tmp_path / "report.pdf"))  # its event opens the legend
    page.emulate_media(media="print")
    assert page.locator("#meaning dd").first.is_visible()
    assert page.locator(".reader .turn").first.is_visible()
    assert page.locator(".tile").first.is_visible()
    hidden = ("nav", ".toolbar", ".list", "#permalink")
    assert not any(page.locator(selector).first.is_visible() for selector in hidden)
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
    page.close()


def test_the_page_of_a_leaderboard_is_read_as_well(browser: Any, axe: str, tmp_path: Path) -> None:
    from utils.leaderboard import as_html, rank

    runs = [Run(folder=tmp_path, name=name, records=records(40, skill=skill))
            for name, skill in (("a", 0.2), ("b", 0.9))]  # fmt: skip
    (tmp_path / "board.html").write_text(as_html(rank(runs)))
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "board.html").as_uri())
    page.evaluate(axe)
    assert page.evaluate(FINDINGS) == [], json.dumps(page.evaluate(FINDINGS))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
