"""utils.compare: paired differences of two run folders, and what changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from config.errors import ConfigError
from tests.synthetic import records
from utils.compare import compare, main
from utils.records import ConversationRecord
from utils.runs.read import open_run
from utils.runs.record_writer import RecordWriter


def write_run(folder: Path, rows: list[ConversationRecord], **config: object) -> Path:
    writer = RecordWriter(folder)
    for row in rows:
        writer.add(row)
    writer.settle()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    a = write_run(tmp_path / "a", records(60, samples=2, skill=0.3), seed=1)
    b = write_run(tmp_path / "b", records(60, samples=2, skill=0.8, leak=0.0), seed=2)
    return a, b


def test_lines_in_a_pipe_are_not_folded(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main([str(runs[0]), str(runs[1])]) == 0
    lines = capsys.readouterr().out.splitlines()
    [head] = [line for line in lines if "95 % interval" in line]
    assert "metric" in head and "problems" in head
    assert any("no correction for several metrics)" in line and line[0] == "*" for line in lines)


def test_difference_is_b_minus_a_by_problem(runs: tuple[Path, Path]) -> None:
    a, b = (open_run(path) for path in runs)
    rows, changes = compare(a, b)
    by_name = {row.name: row for row in rows}
    solve = by_name["solve_after"]
    assert solve.difference.n == 30
    assert solve.difference.mean == pytest.approx(solve.b - solve.a)
    assert solve.clear and (solve.difference.low or 0) > 0
    before = by_name["solve_before"].difference  # the same students, before either tutor
    assert before.mean == 0.0 and not by_name["solve_before"].clear
    assert by_name["leaked"].b == 0.0
    flips = [c for c in changes if any(w.startswith("leaked: yes -> no") for w in c.what)]
    leaky = sum(r.verdicts["does_not_leak_answer"][0].decision == "REJECT" for r in a.records)
    assert len(flips) == leaky > 0


def test_a_run_against_itself_changes_nothing(runs: tuple[Path, Path]) -> None:
    a = open_run(runs[0])
    rows, changes = compare(a, a)
    assert changes == [] and all(row.difference.mean == 0.0 for row in rows)


def test_no_star_on_few_problems(tmp_path: Path) -> None:
    a = open_run(write_run(tmp_path / "a", records(9, skill=0.0, leak=0.0)))
    b = open_run(write_run(tmp_path / "b", records(9, skill=1.0, leak=0.0)))
    rows, _ = compare(a, b)
    [solve] = [row for row in rows if row.name == "solve_after"]
    assert solve.difference.mean == 1.0 and not solve.clear


def test_runs_that_solved_only_what_was_accepted_are_not_mixed_with_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hard run of before: rejected conversations have no solutions, and no record says so."""
    hard = {"ignore_rejected_judge": False}
    old = [
        r.model_copy(update={"solutions": r.solutions if r.rewards["pedagogy"] == 0 else []})
        for r in records(40, split="train")
    ]
    a = write_run(tmp_path / "hard", old, generation=hard)
    b = write_run(tmp_path / "soft", records(40, split="train"), generation={})
    names = {row.name for row in compare(open_run(a), open_run(b))[0]}
    assert {"solve_before", "solve_after_accepted", "leaked"} <= names
    assert not names & {"solve_after", "delta", "normalised_gain"}
    assert main([str(a), str(b)]) == 0
    assert "not compared; hard solved only what its" in capsys.readouterr().out
    again = write_run(tmp_path / "new", old, generation=hard | {"solve_rejected_share": 1.0})
    assert not any(r.accepted_only for r in open_run(again).records)


def test_an_older_run_says_which_rules_count_in_its_settings(tmp_path: Path) -> None:
    rows = records(12, leak=1.0)
    only = {"rules_only_reported": ["does_not_leak_answer"]}
    run = open_run(write_run(tmp_path / "old", rows, generation=only))
    verdicts = [v for r in run.records for v in r.verdicts["does_not_leak_answer"]]
    assert verdicts and not any(v.counts for v in verdicts)


def test_only_shared_problems_are_paired(tmp_path: Path) -> None:
    a = open_run(write_run(tmp_path / "a", records(10)))
    b = open_run(write_run(tmp_path / "b", records(14)[4:]))
    rows, _ = compare(a, b)
    assert {row.difference.n for row in rows} <= {4, 5, 6}
    with pytest.raises(ConfigError, match="share no problem_id"):
        compare(a, open_run(write_run(tmp_path / "c", records(20)[15:])))


def test_one_id_for_two_problems_is_refused(tmp_path: Path) -> None:
    a = open_run(write_run(tmp_path / "a", records(5)))
    b = open_run(write_run(tmp_path / "b", records(5, seed=9)))
    with pytest.raises(ConfigError, match="p0000"):
        compare(a, b)


def test_only_the_last_evaluated_step_is_compared(tmp_path: Path) -> None:
    early = records(8, skill=0.0)
    late = records(8, skill=1.0, step=5)
    run = open_run(write_run(tmp_path / "a", [*early, *late, *records(8, split="train", step=9)]))
    assert {r.step for r in run.final} == {5}


def test_command_line(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compare.json"
    assert main([str(runs[0]), str(runs[1]), "--json", str(out), "--show", "2"]) == 0
    printed = capsys.readouterr().out
    assert "b minus a" in printed and "seed: 1 -> 2" in printed
    content = json.loads(out.read_text())
    assert content["metrics"]["solve_after"]["difference"]["n"] == 30
    assert content["changed"][0]["problem_id"].startswith("p")
    assert main([str(runs[0]), str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("utils.compare: ")
