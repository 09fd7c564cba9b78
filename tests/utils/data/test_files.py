"""Files as people have them: what is read, and in which line and words the rest is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.files import SUFFIXES, read_file, suffix_of
from utils.data.load import load_problems

HEAD = "problem,answer"


def loaded(path: Path) -> list[tuple[str, str]]:
    return [(p.text, p.answer) for p in load_problems([DatasetEntry(str(path))], seed=0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", '\n{"problem": "a, b", "answer": "1"}\n\n  \n'),
        ("x.jsonl", '{"problem": "a, b", "answer": "1"}\r\n'),
        ("x.csv", f'{HEAD}\n\n"a, b",1\n\n'),
        ("x.csv", 'problem , answer\n"a, b", 1\n'),
        ("x.csv", 'problem,answer,\n"a, b",1,,\n'),
        ("x.csv", 'problem,answer,level\n"a, b",1\n'),
        ("x.CSV", f'{HEAD}\r\n"a, b",1\r\n'),
        ("x.tsv", "problem\tanswer\na, b\t1\n"),
        ("x.json", '{"name": "n", "rows": [{"problem": "a, b", "answer": "1"}]}'),
    ],
)
def test_what_is_read(tmp_path: Path, name: str, content: str) -> None:
    for mark in ("", "\ufeff"):
        (tmp_path / name).write_text(mark + content, encoding="utf-8", newline="")
        assert loaded(tmp_path / name) == [("a, b", "1")]


def test_a_cell_of_any_length(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{HEAD}\n{'long ' * 60_000},1\n")
    [(text, _)] = loaded(tmp_path / "x.csv")
    assert len(text) == 5 * 60_000 - 1


ROW = " (dataset.bad_rows=drop leaves such rows out)"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"problem": "\xe9"}', ":1: not UTF-8 (byte 0xe9); save it as UTF-8" + ROW),
        ("x.jsonl", '{"a": 1}\n'.encode("utf-16"), ": is UTF-16, not UTF-8; save it as UTF-8"),
        ("x.csv", b"problem,answer\nok,1\n\xe9,2\n", ":3: not UTF-8 (byte 0xe9)"),
        ("x.jsonl", b'[\n{"a": 1}\n]', "; a list of rows is called .json" + ROW),
        ("x.jsonl", b'[{"a": 1}]', ":1: not an object, but list" + ROW),
        ("x.json", b'{"a": 1}\n{"a": 2}\n', "; one object a line is called .jsonl"),
        ("x.json", b'{"a": [1, 2]}', ": not a list of rows"),
        ("x.json", b'{"a": [{}], "b": [{}]}', ": not a list of rows, but 2 of them (a, b)"),
        ("x.jsonl", rb'{"answer": "\sqrt{2}"}', "; JSON writes a backslash twice" + ROW),
        ("x.csv", b"problem,answer\na,b,1\n", ", row 1: 3 cells under 2 names; a cell that holds"),
        ("x.csv", b'problem,answer\n"a" b,1\n', ", row 1: line 2: "),
        ("x.csv", b'problem,answer\na,1\n"b,2\n', ", row 2: a quote is never closed"),
        ("x.csv", b"problem,answer,answer\n", ": two columns are called 'answer'"),
        ("x.parquet", b"PAR1", ": not Parquet: "),
        ("x.arrow", b"PAR1", ": not Arrow: "),
        ("x.jsonl.gz", gzip.compress(b"{}" * 99)[:20], ": Compressed file ended before"),
        ("x.csv.gz", b"problem", ": Not a gzipped file"),
        ("x.txt", b"", " is none of .jsonl, "),
        ("x.parquet.gz", b"", " is none of .jsonl, "),
    ],
)
def test_what_is_refused_names_the_file(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_problems([DatasetEntry(str(path))], seed=0)
    said = str(caught.value)
    assert said.startswith(f"dataset.train_datasets[0].name_or_path: {path}")
    assert message in said and "\n" not in said


def test_after_a_broken_line_of_a_table_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f'{HEAD}\n"a" b,1\nc,d,e\nf,2\n')
    found = load_problems([DatasetEntry(str(tmp_path / "x.csv"))], seed=0, bad_rows="drop")
    assert [(p.text, p.answer) for p in found] == [("f", "2")]


def test_every_suffix_has_a_reader(tmp_path: Path) -> None:
    assert all(suffix_of(Path(f"x{suffix}")) == suffix for suffix in SUFFIXES)
    with pytest.raises(ValueError, match="is none of"):
        read_file(tmp_path / "x")


def test_a_short_float_of_parquet_is_the_decimal_that_was_written(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    answers = pa.array([0.1, 2.5], pa.float32())
    parquet.write_table(
        pa.table({"problem": ["a", "b"], "answer": answers}), tmp_path / "x.parquet"
    )
    assert loaded(tmp_path / "x.parquet") == [("a", "0.1"), ("b", "2.5")]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = [pa.array(["a"]), pa.array(["1"]), pa.array(["2"])]
    table = pa.Table.from_arrays(columns, names=["problem", "answer", "answer"])
    parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match=r"x\.parquet: two columns have one name"):
        loaded(tmp_path / "x.parquet")
