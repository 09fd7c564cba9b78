"""One problem once, whatever its index; contradicting answers are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from tests.utils.data.layouts import write_lines
from utils.data.load import load_problems

ROWS = [{"problem": f"q{i}", "answer": i} for i in range(3)]


def test_the_same_problem_under_another_index_counts_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    table = [{"problem": "a", "answer": a, "index": i} for i, a in enumerate(["1/2", "0.5", "1/2"])]
    for columns in ({}, {"id": "index"}):
        entry = write_lines(tmp_path / "x.jsonl", table)
        entry.columns = columns
        [problem] = load_problems([entry], seed=0)
        assert (problem.answer, problem.extra.get("index", 0)) == ("1/2", 0)
        assert "1 problems used; left out: 2 repetitions" in caplog.text


def test_contradicting_answers_name_both_rows(tmp_path: Path) -> None:
    table = [*ROWS[:2], {"problem": "q0", "answer": "7"}, {"problem": "q0", "answer": "0"}]
    entry = write_lines(tmp_path / "x.jsonl", table)
    message = r"x\.jsonl:3: the same problem as .*x\.jsonl:1, but the answer '7', not '0'"
    with pytest.raises(ConfigError, match=message):
        load_problems([entry], seed=0)
    assert [p.text for p in load_problems([entry], seed=0, bad_rows="drop")] == ["q1"]


def test_the_options_belong_to_the_problem(tmp_path: Path) -> None:
    table = [{"problem": "Which?", "answer": i, "choices": [str(i), "9"]} for i in (0, 1)]
    found = load_problems([write_lines(tmp_path / "x.jsonl", table)], seed=0)
    assert len({p.id for p in found}) == 2
