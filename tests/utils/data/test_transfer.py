"""The other problem of a transfer test: from columns, drawn for generated ones, of the toy."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry
from toy.problems import load, sums, transfer
from toy.world import Sum
from utils.data.load import load_problems

ROW = {"problem": "1 + 1?", "answer": "2", "transfer_problem": "2 + 3?", "transfer_answer": "5"}


def entry(folder: Path, rows: list[dict[str, Any]], **more: Any) -> DatasetEntry:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DatasetEntry(name_or_path=str(path), **more)


def test_columns_give_it_under_any_name(tmp_path: Path) -> None:
    made = {"problem": "1 + 1?", "answer": "2", "variant": {"q": "2 + 3?", "a": "so #### 5"}}
    columns = {"transfer_problem": "variant.q", "transfer_answer": "variant.a"}
    [found] = load_problems([entry(tmp_path, [made], columns=columns)], seed=0, transfer=True)
    assert found.transfer is not None
    assert (found.transfer.text, found.transfer.answer) == ("2 + 3?", "5")
    assert found.transfer.id != found.id
    [found] = load_problems([entry(tmp_path, [ROW])], seed=0, transfer=True)
    assert found.extra == {}


def test_where_nobody_asks_the_columns_are_columns_as_others(tmp_path: Path) -> None:
    [found] = load_problems([entry(tmp_path, [ROW | {"transfer_answer": "proof"}])], seed=0)
    assert found.transfer is None and found.extra["transfer_problem"] == "2 + 3?"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"transfer_answer": ""}, r"columns\.transfer_answer: .*row 2|:2: no answer"),
        ({"transfer_answer": "proof"}, "placeholder|the answer is 'proof'"),
        ({"transfer_problem": "3 + 3?"}, r"columns\.transfer_problem: .*the problem itself"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [ROW, ROW | {"problem": "3 + 3?", "answer": "6"} | changes]
    if "proof" in changes.values():  # says itself that there is none
        assert len(load_problems([entry(tmp_path, rows)], seed=0, transfer=True)) == 1
        assert "1 of 2 rows left out" in caplog.text
        return
    with pytest.raises(ConfigError, match=said):
        load_problems([entry(tmp_path, rows)], seed=0, transfer=True)
    kept = load_problems([entry(tmp_path, rows)], seed=0, transfer=True, bad_rows="drop")
    assert len(kept) == 1


def test_a_row_without_a_variant_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = {"problem": "3 + 3?", "answer": "6", "transfer_problem": "", "transfer_answer": ""}
    with caplog.at_level(logging.WARNING):
        found = load_problems([entry(tmp_path, [ROW, empty])], seed=0, transfer=True)
    assert len(found) == 1
    assert "1 of 2 rows left out: 1 without a transfer problem" in caplog.text


def test_a_source_without_the_columns_is_refused_with_the_way_out(tmp_path: Path) -> None:
    plain = {"problem": "1 + 1?", "answer": "2"}
    with pytest.raises(ConfigError, match=r"transfer_problem: .*post_test.*make_variants"):
        load_problems([entry(tmp_path, [plain])], seed=0, transfer=True)


def generated(split: str = "train", size: int = 60, seed: int = 3) -> list[Any]:
    parameters = {"operators": ["+"], "min_terms": 2, "max_terms": 2, "min_digits": 1,
                  "max_digits": 2, "allow_parentheses": False, "allow_negation": False,
                  "question": "What is {expression}?", "size": size}  # fmt: skip
    source = DatasetEntry("reasoning_gym:basic_arithmetic", split=split, parameters=parameters)
    return load_problems([source], seed=seed, transfer=True)


def test_of_a_generated_problem_it_is_another_draw_of_the_same_split() -> None:
    found, held_out = generated(), generated("test")
    texts = {problem.text for problem in found}
    for problem in found:
        assert problem.transfer.text in texts and problem.transfer.text != problem.text
        assert problem.transfer.answer != problem.answer
    assert not texts & {problem.transfer.text for problem in held_out}
    assert len({problem.transfer.text for problem in found}) > 20
    assert generated() == found and generated(seed=4) != found


def test_the_toys_has_the_same_carries_and_stays_in_its_split() -> None:
    for split in ("train", "test"):
        mine = set(sums(split, 0))
        for problem in sums(split, 0)[:300]:
            other = transfer(problem, split)
            assert other in mine and other.answer != problem.answer
            assert other.b + other.d >= 10 <= problem.b + problem.d
            assert (other.answer >= 100) == (problem.answer >= 100)


def test_the_toys_rows_have_its_columns_whatever_the_order() -> None:
    rows = {row["id"]: row for row in load("train", 1)}
    for row in load("train", 2, 50):
        assert rows[row["id"]] == row
        assert Sum.parse(row["transfer_problem"]).answer == int(row["transfer_answer"])
