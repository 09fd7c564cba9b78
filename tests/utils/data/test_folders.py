"""Folders in the hub's own layout, shards, saved sets: by path, by split, by configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry
from tests.utils.data.layouts import (
    hub_shards,
    plain_rows,
    saved_splits,
    two_configurations,
    write_lines,
    write_table,
)
from utils.data.load import load_problems

PAIRS = [(f"What is {i} + {i}?", str(2 * i)) for i in range(1, 5)]


def answers(folder: Path, split: str = "train", **more: object) -> set[str]:
    entry = DatasetEntry(str(folder), split=split, **more)  # type: ignore[arg-type]
    return {p.answer for p in load_problems([entry], seed=0)}


def test_a_slice_goes_over_all_shards(tmp_path: Path) -> None:
    hub_shards(tmp_path, PAIRS)
    assert answers(tmp_path, "train[25%:75%]") == {"4", "6"}


def test_a_cached_snapshot_of_links(tmp_path: Path) -> None:
    write_lines(tmp_path / "blobs" / "x.jsonl", plain_rows(PAIRS))
    blob = (tmp_path / "blobs" / "x.jsonl").rename(tmp_path / "blobs" / "0a1b")
    (tmp_path / "snapshot" / "data").mkdir(parents=True)
    (tmp_path / "snapshot" / "data" / "train.jsonl").symlink_to(blob)
    assert len(answers(tmp_path / "snapshot")) == 4


def test_files_without_a_split_in_their_names_are_train(tmp_path: Path) -> None:
    write_lines(tmp_path / "data" / "a.jsonl", plain_rows(PAIRS[:2]))
    write_lines(tmp_path / "data" / "b.jsonl", [plain_rows(PAIRS)[2] | {"level": 3}])
    assert answers(tmp_path) == {"2", "4", "6"}


def test_a_split_is_a_files_name_first(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", plain_rows(PAIRS[:2]))
    write_table(tmp_path / "dev.csv", plain_rows(PAIRS[2:]))
    assert answers(tmp_path, "dev") == {"6", "8"}


def test_a_broken_file_of_a_folder_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "data" / "train-a.jsonl", plain_rows(PAIRS))
    (tmp_path / "data" / "train-b.jsonl").write_text('{"problem": "b?", "answer": \n')
    with pytest.raises(ConfigError, match=r"data/train-b\.jsonl:1: not JSON"):
        answers(tmp_path)


@pytest.mark.parametrize(
    ("make", "there"), [(hub_shards, "train"), (saved_splits, "train, test|test, train")]
)
def test_another_split_names_those_there_are(
    tmp_path: Path, make: Callable[[Path, list[tuple[str, str]]], DatasetEntry], there: str
) -> None:
    entry = make(tmp_path, PAIRS)
    with pytest.raises(ConfigError, match=rf"\[0\]\.split: .* has no 'dev'; it has ({there})$"):
        answers(Path(entry.name_or_path), "dev")


def test_a_saved_set_without_splits_is_one_split(tmp_path: Path) -> None:
    entry = saved_splits(tmp_path, PAIRS)
    assert len(answers(Path(entry.name_or_path) / "train", "test")) == 4


def test_a_missing_configuration_names_those_there_are(tmp_path: Path) -> None:
    two_configurations(tmp_path, PAIRS)
    message = r"\[0\]\.parameters\.name: .*; it has main, other: .*`parameters: \{name: main\}`"
    with pytest.raises(ConfigError, match="more than one configuration") as caught:
        answers(tmp_path)
    assert caught.match(message)
    with pytest.raises(ConfigError, match="no configuration 'mian'") as caught:
        answers(tmp_path, parameters={"name": "mian"})
    assert caught.match(message)


def test_a_folder_without_data_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"holds no data: a folder has files of its splits \(\.j"):
        answers(tmp_path)
