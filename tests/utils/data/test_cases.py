"""Files that people have, from the folder beside this one: each gives its problems, or one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.load import load_problems

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "cases" / "data"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no cases here: {FOLDER}")

THREE = ["11", "3", "7"]
Case = tuple[dict[str, Any], list[str]]
READ: dict[str, Case] = {
    **dict.fromkeys(
        (
            "plain.jsonl",
            "plain.jsonl.gz",
            "plain.parquet",
            "crlf.jsonl",
            "bom.jsonl",
            "trailing_blank_lines.jsonl",
            "blank_line_inside.jsonl",
            "data_key.json",
            "id_ints.jsonl",
            "duplicates_equal.jsonl",
            "duplicates_index.jsonl",
            "flat_shards",
            "saved_to_disk",
            "hub_snapshot",
        ),
        ({}, THREE),
    ),
    "bom.csv": ({}, ["4"]),
    "header_spaces.csv": ({}, ["4"]),
    "empty_lines.csv": ({}, ["4"]),
    "fewer_cells.csv": ({}, ["4"]),
    "quoted_newlines.csv": ({}, ["4"]),
    "long_cell.csv": ({}, ["4"]),
    "very_long.jsonl": ({}, ["3", "30000", "7"]),
    "bytes.parquet": ({}, ["4"]),
    "dictionary.parquet": ({}, ["4"]),
    "date.parquet": ({}, ["2024-01-05"]),
    "decimal.parquet": ({}, ["4.00"]),
    "geo_like": ({}, ["4", "6"]),
    "mixed_schema": ({}, ["1", "2"]),
    "mixed_types": ({}, ["1", "x"]),
    "bool.jsonl": ({}, ["True"]),
    "int.jsonl": ({}, ["4"]),
    "float.jsonl": ({}, ["1e-07", "2.5", "3"]),
    "list.jsonl": ({}, ["2, -2", "4", "6"]),
    "boxed_answer.jsonl": ({}, ["1", "2", r"\frac{1}{2}"]),
    "escape_lost.jsonl": ({}, [r"\frac{1}{2}", r"\text{Monday}"]),
    "dollars.jsonl": ({}, [r"$\frac{1}{2}$"]),
    "double_backslash.jsonl": ({}, [r"\\frac{1}{2}"]),
    "duplicates_solution.jsonl": ({}, ["3", "7"]),
    "gsm8k.jsonl": ({"problem": "question"}, ["10,000", "72"]),
    "math.jsonl": ({"answer": "solution"}, [r"\frac{14}{3}"]),
    "math_two_boxes.jsonl": ({"answer": "solution"}, ["1, 2"]),
    "messages.jsonl": ({"problem": "messages"}, ["4"]),
    "trl_prompt.jsonl": ({"problem": "prompt", "answer": "solution"}, ["$4$"]),
    "verl.jsonl": ({"problem": "prompt", "answer": "reward_model"}, ["4"]),
    "verl.parquet": ({"problem": "prompt", "answer": "reward_model.ground_truth"}, ["4"]),
}
REFUSED = {
    "dict.jsonl": r"columns\.answer: .*dict\.jsonl:1: fields value, unit",
    "empty_list.jsonl": r"columns\.answer: .*empty_list\.jsonl:1: an empty list",
    "none.jsonl": r"columns\.answer: .*:4: no answer \(dataset\.bad_rows=drop",
    "nan.jsonl": r"columns\.answer: .*:4: no answer \(dataset\.bad_rows=drop",
    "missing_key.jsonl": r"columns\.answer: .*:4: no answer \(dataset\.bad_rows=drop",
    "null_int.parquet": r"columns\.answer: .*row 2: no answer \(dataset\.bad_rows=drop",
    "placeholder.jsonl": r": .*4 with a placeholder for an answer \(first: .*:1: .*'proof'",
    "duplicates_other_answer.jsonl": r"columns\.answer: .*:4: .*jsonl:1, .* '4', not '3'",
    "id_repeated.jsonl": r"columns\.id: .*:2: '7' stands twice",
    "more_cells.csv": r"name_or_path: .*more_cells\.csv, row 1: 3 cells under 2 names",
    "no_header.csv": r"columns\.problem: .*\('What is 2 \+ 2\?', 4\)",
    "semicolon.csv": r"columns\.problem: .*\('problem;answer'\)",
    "bad_file": r"name_or_path: .*data/train\.jsonl:2: not JSON",
    "two_configs": r"parameters\.name: .*it has main, socratic: .*parameters: \{name: main\}",
    "latin1.jsonl": r"name_or_path: .*latin1\.jsonl:1: not UTF-8",
    "utf16.jsonl": r"name_or_path: .*utf16\.jsonl: is UTF-16",
    "columns.json": r"name_or_path: .*columns\.json: not a list of rows",
    "two_lists.json": r"name_or_path: .*two_lists\.json: not a list of rows",
    "json_called_jsonl.jsonl": r"name_or_path: .*:1: not JSON",
    "jsonl_called_json.json": r"name_or_path: .*: not JSON",
    "one_line_array.jsonl": r"name_or_path: .*:1: not an object",
}


@pytest.mark.parametrize("name", READ)
def test_is_read(name: str) -> None:
    columns, answers = READ[name]
    found = load_problems([DatasetEntry(str(FOLDER / name), columns=columns)], seed=1)
    assert sorted(problem.answer for problem in found) == answers


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_problems([DatasetEntry(str(FOLDER / name))], seed=1)
    assert re.match(rf"dataset\.train_datasets\[0\](\.)?{REFUSED[name]}", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none", "nan", "missing_key"])
def test_one_row_without_an_answer_does_not_cost_the_set(name: str) -> None:
    entry = DatasetEntry(str(FOLDER / f"{name}.jsonl"))
    assert len(load_problems([entry], seed=1, bad_rows="drop")) == 3


def test_a_configuration_by_a_relative_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    entry = DatasetEntry(
        "two_configs", columns={"problem": "question"}, parameters={"name": "main"}
    )
    assert len(load_problems([entry], seed=1)) == 3
