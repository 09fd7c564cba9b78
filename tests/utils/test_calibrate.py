"""python -m utils.calibrate: the matcher and a user's own function, table, file and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.synthetic import records
from utils.calibrate import SAID_BEFORE, main
from utils.metrics.judges.calibration_file import CALIBRATION, kept_calibrations
from utils.report.write import write_report
from utils.runs.read import Run

TOLD = "It is 21."


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Twelve conversations: five tell it, one of them before the labelled turn."""
    rows = [
        {
            "conversation": f"c{n}",
            "problem": "3 bags of 7?",
            "answer": "21",
            "turns": [["teacher", TOLD if n == 0 else "Well?"], ["student", "Hm."],
                      ["teacher", TOLD if n < 5 else "Why?"]],
            "label": "REJECT" if n < 4 else "OK",
            "group": "told" if n < 5 else "asked",
        }
        for n in range(12)
    ]  # fmt: skip
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_matcher_is_measured(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["matcher", "--labels", str(labels), "--out", str(tmp_path / "kept")]) == 0
    said = capsys.readouterr().out
    assert "matcher against labels.jsonl" in said and "0.750" in said
    [entry] = kept_calibrations(tmp_path / "kept")
    assert entry["table"] == {"both": 3, "only_judge": 1, "only_people": 0, "neither": 7}
    assert entry["left_out"] == {SAID_BEFORE: 1}
    assert entry["groups"]["told"] == {"turns": 4, "rejected": 4}


def test_a_function_is_measured_and_stands_beside_the_matcher(labels: Path, tmp_path: Path) -> None:
    for judge in ("matcher", "tests.rules:odd", "matcher"):
        assert main([judge, "--labels", str(labels), "--out", str(tmp_path)]) == 0
    found = kept_calibrations(tmp_path)
    assert [entry["judge"] for entry in found] == ["tests.rules:odd", "matcher"]


def nonsense(problem: str, answer: str, turns: object) -> str:
    return "OK"


def raising(problem: str, answer: str, turns: object) -> None:
    raise KeyError(problem)


def test_the_report_of_a_run_shows_what_its_folder_keeps(labels: Path, tmp_path: Path) -> None:
    assert main(["matcher", "--labels", str(labels), "--out", str(tmp_path)]) == 0
    run = Run(folder=tmp_path, name="r", records=records(6))
    page = write_report([run], tmp_path / "report.html").read_text()
    assert '"judge":"matcher","labels":"labels.jsonl"' in page
    (tmp_path / CALIBRATION).unlink()
    assert '"calibrations":[]' in write_report([run], tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("does_not_leak_answer", "python -m src.calibrate does_not_leak_answer --labels FILE"),
        ("nowhere:f", "nowhere:f: No module named"),
        ("tests.rules:nothing", "has no attribute"),
        ("tests.utils.test_calibrate:TOLD", "is no function"),
        ("tests.utils.test_calibrate:nonsense", "gave 'OK', not a utils.verdicts.judging.Verdict"),
        ("tests.utils.test_calibrate:raising", "raised KeyError: '3 bags of 7?'"),
    ],
)
def test_another_judge_is_one_line(
    judge: str, said: str, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([judge, "--labels", str(labels)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
