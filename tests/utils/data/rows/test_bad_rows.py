"""Rows that cannot be used stop a run, or are left out and counted; references are checked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from config.errors import ConfigError
from tests.utils.data.layouts import write_lines
from utils.data.load import load_problems

ROWS = [{"problem": f"q{i}", "answer": i} for i in range(3)]


def test_bad_rows_are_an_error_or_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = [*ROWS, {"problem": "lost"}, {"problem": "cut", "answer": r"\frac{1"}]
    entry = write_lines(tmp_path / "x.jsonl", table)
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write("{half\n")
    with pytest.raises(ConfigError, match=r"x\.jsonl:4: no answer \(dataset\.bad_rows=drop leaves"):
        load_problems([entry], seed=0)
    assert len(load_problems([entry], seed=0, bad_rows="drop")) == 3
    [line] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "3 of 6 rows left out: 1 without an answer (first: " in line
    assert "x.jsonl:5: no solution could ever equal" in line and "x.jsonl:7: not JSON" in line


def test_where_nothing_is_left_the_reasons_are_said(tmp_path: Path) -> None:
    entry = write_lines(
        tmp_path / "x.jsonl", [{"problem": "a"}, {"problem": "b", "answer": ["1", ["2"]]}]
    )
    with pytest.raises(ConfigError, match=r"no usable row: 1 without an answer .*, 1 with a malf"):
        load_problems([entry], seed=0, bad_rows="drop")


def test_placeholders_are_always_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = ["proof", "Not found", "N/A", "nan", None, "2"]
    table = [{"problem": f"q{i}", "answer": a} for i, a in enumerate(held) if a]
    [problem] = load_problems([write_lines(tmp_path / "x.jsonl", table)], seed=0)
    assert problem.answer == "2"
    assert "4 of 5 rows left out: 4 with a placeholder" in caplog.text


def test_an_error_names_the_column_that_is_read(tmp_path: Path) -> None:
    entry = write_lines(tmp_path / "x.jsonl", [{"problem": "a", "gold": {"value": 1, "unit": "m"}}])
    entry.columns = {"answer": "gold"}
    message = r"columns\.answer: .*x\.jsonl:1: column 'gold': fields value, unit; .* as gold\.value"
    with pytest.raises(ConfigError, match=message):
        load_problems([entry], seed=0)
    entry.columns = {"answer": "gold.value"}
    assert load_problems([entry], seed=0)[0].answer == "1"


def test_ten_thousand_references_are_checked_in_seconds(tmp_path: Path) -> None:
    """Every reference another one, in MATH's kinds; `pytest -s` shows the time."""
    kinds = (
        "{0}", r"\frac{{{0}}}{{{1}}}", r"{0}\sqrt{{{1}}}", "({0}, {1})", r"x^2 + {0}x - {1}",
        r"\text{{Person {0}}}", r"{0} \text{{ cm}}^2", r"[{0}, \infty)", "{0}{1}", "{0}.{1}",
    )  # fmt: skip
    table = [
        {"problem": f"q{i}", "answer": kinds[i % len(kinds)].format(i + 2, i + 3)}
        for i in range(10_000)
    ]
    entry = write_lines(tmp_path / "x.jsonl", table)
    start = time.perf_counter()
    assert len(load_problems([entry], seed=0)) == 10_000
    taken = time.perf_counter() - start
    print(f"10,000 rows loaded in {taken:.1f} s")
    assert taken < 30  # some 3 s; other work may share the cores
