"""The guides, tried: their functions are run, their files are read, their refusals are met."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, TrainRLConfig
from src.dialog.judges import load_rules
from src.dialog.students import load_students
from tests.synthetic import records
from utils.data.load import load_problems
from utils.rewards import RewardSettings, rewards
from utils.settings.hydra_entry import load_config

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GUIDES = DOCS / "guides"


def block(guide: str, kind: str) -> str:
    """The first fenced block of this kind."""
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)[0]


def settings(*overrides: str, name: str = "toy") -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, name, overrides)


def rows(guide: str, head: str) -> list[list[str]]:
    """The rows of the table that begins with this column."""
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    table = text.split(f"| {head} |", 1)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_reward_pays_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "my_rewards.py"
    file.write_text(block("write-a-reward", "python"))
    entry = f"{{function: '{file}:asks', weight: 0.2}}"
    cfg = settings(f"+generation.rewards.asks={entry}")
    paid = RewardSettings.of(cfg.generation, cfg.reward_model)
    for record in records(6):
        turns = [m.visible for m in record.messages if m.role == "teacher"]
        share = sum("?" in turn for turn in turns) / len(turns)
        assert rewards(record, paid)["asks"] == pytest.approx(0.2 * share)


def test_the_rule_rejects_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "my_rules.py"
    file.write_text(block("write-a-judge", "python"))
    cfg = settings(f"+generation.judges_rules_prompts_paths.short={file}:short")
    assert "short" in load_rules(cfg.generation)
    given: dict[str, Any] = {}
    exec(file.read_text(), given)
    student, tutor = ("student", "word " * 61), ("teacher", "What next?")
    assert given["short"]("p", "1", [student, tutor]).decision == "OK"
    assert given["short"]("p", "1", [("teacher", "word " * 61)]).decision == "REJECT"


def test_the_problems_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(block("your-problems", "csv"))
    found = load_problems([DatasetEntry(name_or_path=str(file), split="train")], seed=0)
    assert {problem.answer for problem in found} == {"17", "16"}


def test_the_student_is_met() -> None:
    override = block("add-a-student", "bash").split()[-1]
    other = "prompt_templates/students/overconfident.txt"
    more = ("persona=" + other, "held_out=true")
    cfg = settings(override, *(f"+generation.students.other.{m}" for m in more), name="smollm2")
    assert set(load_students(cfg.generation)) == {"shy_peer", "other"}


@pytest.mark.parametrize(
    ("typed", "says"), [(row[0].strip("`"), row[1]) for row in rows("what-went-wrong", "you typed")]
)
def test_a_refusal_says_these_words(typed: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        settings(typed)


@pytest.mark.parametrize("words", [row[0] for row in rows("what-went-wrong", "words")])
def test_the_words_of_a_refusal_are_in_the_code(words: str) -> None:
    pattern = re.compile(re.escape(words).replace(r"\.\.\.", r".{1,40}?"))
    tops = ("config", "src", "utils")
    code = "\n".join(
        re.sub(r'"\s*\n\s*f?"', "", file.read_text(encoding="utf-8"))
        for top in tops
        for file in (ROOT / top).rglob("*.py")
    )
    assert pattern.search(code)


def test_what_the_report_is_said_to_show_is_in_it() -> None:
    text = (GUIDES / "read-a-report.md").read_text(encoding="utf-8")
    assets = "\n".join(f.read_text() for f in (ROOT / "utils/report/assets").glob("*.js"))
    named = re.findall(r"\*\*?([^*\n]+)\*\*?", text)
    assert len(named) > 6
    assert not [name for name in named if name not in assets]


def test_the_index_has_every_page_and_the_readme_has_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")]
    assert not [page for page in pages if f"({page})" not in index and page != "README.md"]
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
