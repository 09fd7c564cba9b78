"""Ranks of several runs: hand-made differences, ties, and the three formats."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.synthetic import record, records
from utils.compare import main
from utils.leaderboard import as_csv, as_html, as_markdown, rank
from utils.records import ConversationRecord, Solution
from utils.runs.read import Run
from utils.runs.record_writer import RecordWriter


def run(name: str, rows: list[ConversationRecord]) -> Run:
    return Run(folder=Path(name), name=name, records=rows)


def solving(name: str, share: float, n: int = 40) -> Run:
    """A run whose student solves the first part of the problems, and no other."""
    rows = []
    for i in range(n):
        solutions = [Solution(text="", answer="1", correct=i < share * n)]
        rows.append(record(i).model_copy(update={"solutions": solutions}))
    return run(name, rows)


def test_ranks_have_intervals_and_ties_are_said() -> None:
    board = rank([solving("low", 0.2), solving("high", 0.8), solving("higher", 0.85)])
    first, second, last = board.places
    assert [p.name for p in board.places] == ["higher", "high", "low"]
    # .85 beats .8 by two problems of forty: tied; both clearly beat .2
    assert (first.rank, first.ranks, first.tied) == (1, "1-2", ("high",))
    assert (second.rank, second.ranks, second.tied) == (2, "1-2", ("higher",))
    assert (last.rank, last.ranks, last.tied) == (3, "3", ())
    assert board.problems == 40


def test_the_same_value_has_the_same_rank_and_less_leaking_is_better() -> None:
    clean = [r.model_copy(update={"verdicts": {}}) for r in records(4)]
    assert [p.rank for p in rank([solving("a", 0.5), solving("b", 0.5)]).places] == [1, 1]
    board = rank(
        [run("leaky", records(60, leak=0.9)), run("quiet", records(60, leak=0.0))], "leaked"
    )
    assert [p.name for p in board.places] == ["quiet", "leaky"]
    with pytest.raises(Exception, match="has no leaked"):
        rank([run("leaky", records(4)), run("unjudged", clean)], "leaked")


def test_few_problems_separate_nobody() -> None:
    board = rank([solving("a", 0.0, n=9), solving("b", 1.0, n=9)])
    assert all(p.ranks == "1-2" for p in board.places) and "none is called better" in board.note


def test_only_shared_problems_count() -> None:
    board = rank([solving("a", 0.5, n=20), solving("b", 0.5, n=40)])
    assert board.problems == 20 and {p.conversations for p in board.places} == {20}
    with pytest.raises(Exception, match="no problem_id is in all"):
        rank([run("a", records(4)), run("b", [r.model_copy(update={"problem_id": "x"})
                                              for r in records(1)])])  # fmt: skip


def test_each_format_has_every_run_and_hostile_names_stay_text() -> None:
    board = rank([solving("a|b", 0.2), solving("<b>bold</b>", 0.9)])
    assert "a\\|b" in as_markdown(board) and "<b>bold" in as_markdown(board)
    page = as_html(board)
    assert "&lt;b&gt;bold&lt;/b&gt;" in page and "<b>bold" not in page
    rows = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert [row["run"] for row in rows] == ["<b>bold</b>", "a|b"]
    assert float(rows[0]["solve_after"]) == 0.9 and rows[0]["rank_best"] == "1"
    assert float(rows[0]["solve_after_low"]) < 0.9 < float(rows[0]["solve_after_high"])


def test_the_command_ranks_three_folders_and_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for name, skill in (("a", 0.1), ("b", 0.5), ("c", 0.9)):
        writer = RecordWriter(tmp_path / name)
        for row in records(60, skill=skill):
            writer.add(row)
        writer.settle()
        folders.append(str(tmp_path / name))
    assert main([*folders, "--leaderboard", "md"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| rank | run | solve_after |") and lines[2].split(" | ")[1] == "c"
    assert main([*folders]) == 2
    assert "--leaderboard md" in capsys.readouterr().err
    assert main([*folders, "--leaderboard", "md", "--by", "joy"]) == 2
    assert "--by: 'joy' is none of" in capsys.readouterr().err
