"""A set of problems, written as data sets lie about: each layout with its column map."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from config.schema import DatasetEntry

Pairs = Sequence[tuple[str, str]]  # problem, answer
Layout = Callable[[Path, Pairs], DatasetEntry]


def plain_rows(pairs: Pairs) -> list[dict[str, Any]]:
    return [{"problem": text, "answer": answer} for text, answer in pairs]


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]], *, mark: str = "") -> DatasetEntry:
    """JSON Lines, with what is not ASCII as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    content = f"{mark}{lines}\n\n".encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return DatasetEntry(str(path))


def write_table(
    path: Path, rows: Sequence[Mapping[str, Any]], *, delimiter: str = ",", mark: str = ""
) -> DatasetEntry:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(mark)
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return DatasetEntry(str(path))


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> DatasetEntry:
    from pyarrow import Table, parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(Table.from_pylist(list(rows)), path)
    return DatasetEntry(str(path))


def json_list(folder: Path, pairs: Pairs) -> DatasetEntry:
    path = folder / "x.json"
    path.write_text(json.dumps({"version": "1", "data": plain_rows(pairs)}))
    return DatasetEntry(str(path))


def math_layout(folder: Path, pairs: Pairs) -> DatasetEntry:
    rows = [{"problem": t, "solution": rf"We get $\boxed{{{a}}}$."} for t, a in pairs]
    entry = write_lines(folder / "x.jsonl", rows)
    entry.columns = {"answer": "solution"}
    return entry


def gsm8k_layout(folder: Path, pairs: Pairs) -> DatasetEntry:
    rows = [{"question": t, "answer": f"It is so.\n#### {a}"} for t, a in pairs]
    entry = write_lines(folder / "x.jsonl", rows)
    entry.columns = {"problem": "question"}
    return entry


def _verl_rows(pairs: Pairs) -> list[dict[str, Any]]:
    return [
        {
            "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": t}],
            "reward_model": {"style": "rule", "ground_truth": a},
            "extra_info": {"index": i},
        }
        for i, (t, a) in enumerate(pairs)
    ]


def verl(folder: Path, pairs: Pairs) -> DatasetEntry:
    entry = write_parquet(folder / "x.parquet", _verl_rows(pairs))
    entry.columns = {"problem": "prompt", "answer": "reward_model.ground_truth"}
    return entry


def verl_in_cells(folder: Path, pairs: Pairs) -> DatasetEntry:
    """Columns of JSON text, and of Python's repr, as tables hold them."""
    rows = [
        {"prompt": json.dumps(r["prompt"]), "reward_model": repr(r["reward_model"])}
        for r in _verl_rows(pairs)
    ]
    entry = write_table(folder / "x.csv", rows)
    entry.columns = {"problem": "prompt", "answer": "reward_model.ground_truth"}
    return entry


def sharegpt(folder: Path, pairs: Pairs) -> DatasetEntry:
    rows = [
        {
            "conversations": [
                {"from": "human", "value": t},
                {"from": "gpt", "value": f"Let us see. The answer is {a}."},
            ]
        }
        for t, a in pairs
    ]
    entry = write_lines(folder / "x.jsonl", rows)
    entry.columns = {"problem": "conversations", "answer": "conversations"}
    return entry


def answers_in_lists(folder: Path, pairs: Pairs) -> DatasetEntry:
    return write_lines(folder / "x.jsonl", [{"problem": t, "answer": [a]} for t, a in pairs])


def hub_shards(folder: Path, pairs: Pairs) -> DatasetEntry:
    """Two shards under data/, their columns in another order, beside what the hub keeps there."""
    rows = plain_rows(pairs)
    half = (len(rows) + 1) // 2
    write_parquet(folder / "data" / "train-00000-of-00002.parquet", rows[:half])
    turned = [{"answer": r["answer"], "problem": r["problem"]} for r in rows[half:]] or rows[:1]
    write_parquet(folder / "data" / "train-00001-of-00002.parquet", turned)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "dataset_infos.json").write_text("{}")
    return DatasetEntry(str(folder))


def two_configurations(folder: Path, pairs: Pairs) -> DatasetEntry:
    write_lines(folder / "main" / "train.jsonl", plain_rows(pairs))
    write_lines(folder / "other" / "train.jsonl", [{"problem": "?", "answer": "1"}])
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: main\n  data_files: main/train.jsonl\n"
        "- config_name: other\n  data_files: other/train.jsonl\n---\n"
    )
    return DatasetEntry(str(folder), parameters={"name": "main"})


def saved_splits(folder: Path, pairs: Pairs) -> DatasetEntry:
    import datasets

    datasets.disable_progress_bars()
    table = datasets.Dataset.from_list(plain_rows(pairs))
    datasets.DatasetDict({"test": table.select([0]), "train": table}).save_to_disk(folder / "s")
    return DatasetEntry(str(folder / "s"))


LAYOUTS: dict[str, Layout] = {
    "JSON Lines": lambda f, p: write_lines(f / "x.jsonl", plain_rows(p)),
    "JSON Lines of Windows": lambda f, p: write_lines(f / "x.jsonl", plain_rows(p), mark="\ufeff"),
    "gzip": lambda f, p: write_lines(f / "x.jsonl.gz", plain_rows(p)),
    "JSON": json_list,
    "CSV": lambda f, p: write_table(f / "x.csv", plain_rows(p)),
    "CSV of Excel": lambda f, p: write_table(f / "x.csv", plain_rows(p), mark="\ufeff"),
    "TSV": lambda f, p: write_table(f / "x.tsv", plain_rows(p), delimiter="\t"),
    "Parquet": lambda f, p: write_parquet(f / "a=b" / "x.parquet", plain_rows(p)),
    "MATH": math_layout,
    "GSM8K": gsm8k_layout,
    "verl": verl,
    "verl in cells": verl_in_cells,
    "ShareGPT": sharegpt,
    "answers in lists": answers_in_lists,
    "a split's file": lambda f, p: DatasetEntry(
        str(Path(write_lines(f / "train.jsonl", plain_rows(p)).name_or_path).parent)
    ),
    "hub shards": hub_shards,
    "two configurations": two_configurations,
    "save_to_disk": saved_splits,
}
