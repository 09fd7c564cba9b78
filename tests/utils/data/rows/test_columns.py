"""Cells of every type, fields inside columns, and columns that JSON cannot hold."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry
from tests.utils.data.layouts import write_lines, write_parquet
from utils.data.load import load_problems
from utils.data.rows.bad_rows import BadRow
from utils.data.rows.cells import NotData, plain, text_of
from utils.data.rows.columns import lookup
from utils.data.rows.messages import problem_text
from utils.data.sft.chat_rows import read_chat

ROW = {
    "a.b": 1,
    "a": {"b": 2, "c": [{"d": "x"}, {"d": "y"}], "text": '{"e": [5, 6]}'},
    "repr": "{'f': 'it', 'g': None}",
    "messages": [{"role": "user", "content": "?"}],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a.b", 1),
        ("a.c.1.d", "y"),
        ("a.c.d", ["x", "y"]),
        ("a.text.e.0", 5),
        ("a.c.7.d", None),
        ("repr.f", "it"),
        ("messages.0.content", "?"),
        ("a.b.c", None),
        ("z", None),
    ],
)
def test_a_dot_goes_into_a_column(name: str, value: Any) -> None:
    assert lookup(ROW, name) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(2**53 + 1), "9007199254740993"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "True"),
        (np.str_("x"), "x"),
        (Decimal("4.00"), "4.00"),
        (Decimal("1E+3"), "1000"),
        (datetime.date(2024, 1, 5), "2024-01-05"),
        (pd.NA, ""),
        (pd.NaT, ""),
        (np.nan, ""),
        (10**30, "1" + "0" * 30),
        (-0.0, "0"),
    ],
)
def test_values_of_libraries_are_text(value: Any, text: str) -> None:
    assert text_of(plain(value)) == text
    json.dumps(plain({"in": [value]}), allow_nan=False)


def test_arrays_are_lists_and_bytes_are_no_data() -> None:
    assert plain({"a": np.array([[1, 2]]), "b": {3}}) == {"a": [[1, 2]], "b": [3]}
    for value in (b"\x89PNG", [b"x"], {"bytes": b"x", "path": None}, object()):
        with pytest.raises(NotData):
            plain(value)


def rows_of_numpy(split: str, seed: int) -> Iterator[dict[str, Any]]:
    yield {"problem": np.str_("q"), "answer": np.array(["1", "2"]), "level": np.int64(3)}


def test_rows_of_a_function_may_be_numpys() -> None:
    [problem] = load_problems([DatasetEntry(f"{__name__}:rows_of_numpy")], seed=0)
    assert (problem.text, problem.answer, problem.extra) == ("q", "1, 2", {"level": 3})


def test_images_are_left_out_with_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = {"bytes": b"\x89PNG", "path": "x.png"}
    rows = [{"problem": f"q{i}", "answer": 4, "image": image, "raw": b"1"} for i in range(3)]
    found = load_problems([write_parquet(tmp_path / "x.parquet", rows)], seed=0)
    assert [p.extra for p in found] == [{}] * 3
    [line] = [r.getMessage() for r in caplog.records]
    assert line.endswith("JSON cannot hold are left out: image (bytes), raw (bytes)")


def test_a_column_of_bytes_is_text_where_it_is_utf8(tmp_path: Path) -> None:
    rows = [{"problem": "É?".encode(), "answer": b"4"}]
    [problem] = load_problems([write_parquet(tmp_path / "x.parquet", rows)], seed=0)
    assert (problem.text, problem.answer) == ("É?", "4")
    entry = write_parquet(tmp_path / "y.parquet", [{"problem": b"\xff", "answer": b"4"}])
    with pytest.raises(ConfigError, match=r"columns\.problem: .*row 1: column 'problem': bytes"):
        load_problems([entry], seed=0)


def test_a_map_of_parquet_is_a_mapping(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kind = pa.map_(pa.string(), pa.string())
    gold = pa.array([[("style", "rule"), ("ground_truth", "4")]], kind)
    parquet.write_table(pa.table({"problem": ["q"], "gold": gold}), tmp_path / "x.parquet")
    entry = DatasetEntry(str(tmp_path / "x.parquet"), columns={"answer": "gold.ground_truth"})
    assert load_problems([entry], seed=0)[0].answer == "4"


def test_a_column_of_later_rows_is_there(tmp_path: Path) -> None:
    rows = [{"problem": "a", "answer": 1}, {"problem": "b", "answer": 2, "made by": "me"}]
    entry = write_lines(tmp_path / "x.jsonl", rows)
    entry.columns = {"source": "made by"}
    assert {p.source for p in load_problems([entry], seed=0)} == {"x.jsonl", "me"}


def test_what_a_column_can_be_called_is_listed(tmp_path: Path) -> None:
    rows = [{"made by": 1, "reward_model": {"style": "rule", "ground_truth": "4"}}]
    message = r"\('made by', reward_model\.style, reward_model\.ground_truth\), as `columns: \{prob"
    with pytest.raises(ConfigError, match=message):
        load_problems([write_lines(tmp_path / "x.jsonl", rows)], seed=0)


# -- messages as a problem -------------------------------------------------------------------

USER = {"role": "user", "content": "What is 2 + 2?"}


@pytest.mark.parametrize(
    "cell",
    [
        "What is 2 + 2?",
        ["What is 2 + 2?"],
        USER,
        [USER],
        json.dumps([USER]),
        repr([USER]),
        [{"role": "system", "content": "Think."}, USER, {"role": "assistant", "content": "4"}],
        [{"from": "Human", "value": " What is 2 + 2? "}, {"from": "gpt", "value": None}],
        [{"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]}],
    ],
)
def test_the_problem_is_the_one_user_message(cell: Any) -> None:
    assert problem_text(cell) == "What is 2 + 2?"


@pytest.mark.parametrize(
    ("cell", "detail"),
    [
        ([USER, USER], "holds 2 messages of a user; a problem is one"),
        ([{"role": "system", "content": "x"}], "holds 0 messages of a user"),
        ([USER, "x"], "message 2 has no role and content"),
        ({"text": "x"}, "not a text, but fields text"),
        (["a", "b"], "not a text, but a list of 2"),
        ([{"role": "user", "content": [{"type": "image"}]}], "holds image, not text alone"),
    ],
)
def test_what_is_no_problem(cell: Any, detail: str) -> None:
    with pytest.raises(BadRow, match=detail):
        problem_text(cell)


def test_sharegpt_and_contents_in_parts() -> None:
    parts = [{"type": "text", "text": "Half"}, {"type": "text", "text": " of 5?"}]
    talk = [{"from": "human", "value": parts}, {"from": "gpt", "value": "Halve it."}]
    assert read_chat({"messages": talk}).messages == (
        {"role": "user", "content": "Half of 5?"},
        {"role": "assistant", "content": "Halve it."},
    )
    talk[0]["value"] = [{"type": "image", "image": "x.png"}]
    with pytest.raises(BadRow, match="holds image, not text alone"):
        read_chat({"messages": talk})
