"""Problems from every kind of source: mixed exactly, split without overlap, errors that name."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry, TrainRLConfig
from utils.data.load import load_conversations, load_problems
from utils.data.problems import Problem
from utils.data.rows.bad_rows import BadRow
from utils.settings.hydra_entry import load_config


def write(path: Path, rows: list[dict[str, Any]]) -> DatasetEntry:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DatasetEntry(str(path))


def rows(count: int, mark: str = "q") -> list[dict[str, Any]]:
    return [{"problem": f"{mark}{i}", "answer": i} for i in range(count)]


def made_up(split: str, seed: int, count: int = 3) -> Iterator[dict[str, str] | Problem]:
    """A plugin, as users write one."""
    yield Problem(id="own", text=f"{split} {seed}", answer="1")
    for i in range(count):
        yield {"problem": f"p{i}", "answer": str(i)}


# -- sources ---------------------------------------------------------------------------------


def test_every_local_format_gives_the_same_problems(tmp_path: Path) -> None:
    from pyarrow import Table, parquet

    table = rows(5)
    write(tmp_path / "a.jsonl", table)
    (tmp_path / "b.json").write_text(json.dumps(table))
    parquet.write_table(Table.from_pylist(table), tmp_path / "c.parquet")
    with (tmp_path / "d.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["problem", "answer"])
        writer.writeheader()
        writer.writerows(table)
    found = [
        {(p.text, p.answer) for p in load_problems([DatasetEntry(str(f))], seed=0)}
        for f in sorted(tmp_path.iterdir())
    ]
    assert found == [{(f"q{i}", str(i)) for i in range(5)}] * 4


def test_gsm8k_answers_are_split_from_their_solutions(shared_data: Path) -> None:
    entry = DatasetEntry(
        str(shared_data / "gsm8k-train-600.jsonl"), columns={"problem": "question"}
    )
    problems = {p.text[:7]: p for p in load_problems([entry], seed=0)}
    assert len(load_problems([entry], seed=0)) == 600
    assert problems["Natalia"].answer == "72"
    assert problems["Natalia"].extra["solution"].endswith("in April and May.")


def test_numbers_become_text_without_a_needless_point(tmp_path: Path) -> None:
    entry = write(
        tmp_path / "x.jsonl", [{"problem": "a", "answer": 5.0}, {"problem": "b", "answer": 0.5}]
    )
    assert {p.answer for p in load_problems([entry], seed=0)} == {"5", "0.5"}


def test_other_columns_come_along_and_ids_are_stable(tmp_path: Path) -> None:
    entry = write(tmp_path / "x.jsonl", [{"q": "a", "answer": "1", "level": 3}])
    entry.columns = {"problem": "q"}
    (first,), (again,) = load_problems([entry], seed=0), load_problems([entry], seed=9)
    assert first.extra == {"level": 3}
    assert first.id == again.id
    moved = write(tmp_path / "x.jsonl", [{"q": "other", "answer": "2"}, {"q": "a", "answer": "1"}])
    moved.columns = entry.columns
    assert first.id in {p.id for p in load_problems([moved], seed=0)}


def test_a_slice_of_a_split(tmp_path: Path) -> None:
    entry = write(tmp_path / "x.jsonl", rows(10))
    parts = [
        {p.answer for p in load_problems([replace(entry, split=s)], seed=0)}
        for s in ("train[:70%]", "train[7:9]", "train[9:]")
    ]
    assert [len(p) for p in parts] == [7, 2, 1]
    assert set.union(*parts) == {str(i) for i in range(10)}


def test_a_folder_holds_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(3))
    write(tmp_path / "test.jsonl", rows(2, "t"))
    entry = DatasetEntry(str(tmp_path), split="test")
    assert {p.text for p in load_problems([entry], seed=0)} == {"t0", "t1"}
    with pytest.raises(ConfigError, match=r"\[0\]\.split: .* no 'dev'; it has train, test"):
        load_problems([replace(entry, split="dev")], seed=0)


def test_a_function_is_a_source() -> None:
    entry = DatasetEntry(f"{__name__}:made_up", split="test", parameters={"count": 2})
    problems = load_problems([entry], seed=7)
    assert {p.text for p in problems} == {"test 7", "p0", "p1"}
    with pytest.raises(ConfigError, match=r"\[0\]\.parameters: .*unexpected.*'number'"):
        load_problems([replace(entry, parameters={"number": 2})], seed=7)


# -- generated problems ----------------------------------------------------------------------

PRODUCTS = DatasetEntry(
    "reasoning_gym:products",
    parameters={
        "min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1,
        "question": "What is {expression}?", "size": 1000,
    },
)  # fmt: skip


def test_generated_splits_never_meet_whatever_the_seed() -> None:
    """All hundred one-digit products exist, so any split by seed alone would overlap."""
    train = {p.id for p in load_problems([PRODUCTS], seed=1)}
    held_out = [
        {p.id for p in load_problems([replace(PRODUCTS, split=s)], seed=2)}
        for s in ("test", "eval")
    ]
    assert held_out[0] == held_out[1]
    assert not train & held_out[0]
    assert len(train) + len(held_out[0]) == 100
    assert len(held_out[0]) > 10


def test_generated_problems_are_plain_questions_with_right_answers() -> None:
    for problem in load_problems([PRODUCTS], seed=3):
        a, b = problem.text.removeprefix("What is ").removesuffix("?").split(" * ")
        assert int(a) * int(b) == int(problem.answer)


def test_same_seed_same_problems() -> None:
    small = replace(PRODUCTS, parameters=PRODUCTS.parameters | {"size": 20})
    first, again, other = (load_problems([small], seed=s) for s in (1, 1, 2))
    assert first == again
    assert [p.id for p in first] != [p.id for p in other]


def test_the_default_config_has_small_sums_and_products() -> None:
    cfg = load_config("config/train_rl", TrainRLConfig, "smollm2")
    train = load_problems(cfg.dataset.train_datasets, seed=cfg.seed)
    held_out = load_problems(cfg.dataset.eval_datasets, seed=cfg.seed)
    assert not {p.text for p in train} & {p.text for p in held_out}
    signs = Counter(p.text.split()[3] for p in train)
    assert set(signs) == {"*", "+"}
    assert min(signs.values()) > 20


# -- difficulty ------------------------------------------------------------------------------


def test_difficulty_band_is_inclusive(tmp_path: Path) -> None:
    table = [r | {"rate": i / 10} for i, r in enumerate(rows(11))] + [
        {"problem": "unmeasured", "answer": "1", "rate": None}
    ]
    entry = write(tmp_path / "x.jsonl", table)
    entry.columns = {"solve_rate": "rate"}
    entry.min_solve_rate, entry.max_solve_rate = 0.2, 0.4
    found = load_problems([entry], seed=0)
    assert {p.extra["solve_rate"] for p in found} == {0.2, 0.3, 0.4}


@pytest.mark.parametrize("rate", [50, "half", [0.5], "nan"])
def test_what_is_no_rate_is_refused(tmp_path: Path, rate: Any) -> None:
    entry = write(tmp_path / "x.jsonl", [r | {"solve_rate": rate} for r in rows(1)])
    entry.max_solve_rate = 0.4
    with pytest.raises(ConfigError, match=r"columns\.solve_rate: .*:1: .* not a rate between 0 an"):
        load_problems([entry], seed=0)


def test_repetitions_count_once(tmp_path: Path) -> None:
    entry = write(tmp_path / "x.jsonl", rows(3) + rows(3))
    assert len(load_problems([entry], seed=0)) == 3


# -- errors ----------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"columns": {"problem": "q"}}, r"\[0\]\.columns\.problem: .*no column 'q'; it has problem, a"),
    ({"columns": {"question": "q"}}, r"\[0\]\.columns\.question: is none of problem, answer"),
    ({"min_solve_rate": 0.1}, r"\[0\]\.columns\.solve_rate: a difficulty band is set"),
    ({"split": "train[5:]"}, r"\[0\]\.split: .* has no rows"),
    ({"ratio": 0.0}, r"\[0\]\.ratio: must be greater than 0, got 0\.0"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_wrong_settings_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    entry = replace(write(tmp_path / "x.jsonl", rows(5)), **change)
    with pytest.raises(ConfigError, match="^dataset.train_datasets" + message):
        load_problems([entry], seed=0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"problem": "a", "answer": ""}', r"columns\.answer: .*x\.jsonl:2: no answer"),
        ('{"problem": "a", "answer": null}', r"columns\.answer: .*x\.jsonl:2: no answer"),
        ('{"problem": " ", "answer": "1"}', r"columns\.problem: .*x\.jsonl:2: no problem"),
        (
            '{"problem": "a", "answer": "so ####"}',
            r"columns\.answer: .*x\.jsonl:2: no answer after",
        ),
        ("{half", r"name_or_path: .*x\.jsonl:2: not JSON"),
        ("[1]", r"name_or_path: .*x\.jsonl:2: not an object"),
    ],
)
def test_bad_rows_are_named_by_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "x.jsonl").write_text('{"problem": "q", "answer": "1"}\n' + row + "\n")
    with pytest.raises(ConfigError, match=rf"^dataset.train_datasets\[0\]\.{message}"):
        load_problems([DatasetEntry(str(tmp_path / "x.jsonl"))], seed=0)


def test_missing_answer_column_names_what_there_is(tmp_path: Path) -> None:
    entry = write(tmp_path / "x.jsonl", [{"problem": "a", "solution": "1"}])
    with pytest.raises(ConfigError, match=r"columns\.answer: .*'answer'.*\(problem, solution\)"):
        load_problems([entry], seed=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such.jsonl", "no such file"),
        ("no/such.csv.gz", "no such file"),
        ("reasoning_gym:nothing", "no task 'nothing'"),
        ("no.module:here", "No module named 'no'"),
        ("tests.utils.data.test_load:nothing", "has no attribute 'nothing'"),
    ],
)
def test_missing_sources_are_named(name: str, message: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^dataset\.train_datasets\[0\]\.name_or_path: .*{message}"
    ):
        load_problems([DatasetEntry(name)], seed=0)


def test_wrong_parameters_of_a_task_are_named() -> None:
    for wrong in ({"digits": 1}, {"min_digits": 0}, {"question": "{nothing}"}):
        entry = replace(PRODUCTS, parameters=PRODUCTS.parameters | wrong)
        with pytest.raises(ConfigError, match=r"^dataset\.train_datasets\[0\]\.parameters"):
            load_problems([entry], seed=0)
    with pytest.raises(ConfigError, match=r"\[0\]\.split: 'dev' is none of train, test"):
        load_problems([replace(PRODUCTS, split="dev")], seed=0)


def test_two_sources_with_one_id_are_refused(tmp_path: Path) -> None:
    table = [{"problem": "a", "answer": "1", "id": 7}]
    first = write(tmp_path / "a.jsonl", table)
    second = write(tmp_path / "b.jsonl", [{"problem": "b", "answer": "2", "id": 7}])
    with pytest.raises(ConfigError, match="two problems have the id '7'"):
        load_problems([first, second], seed=0)


# -- conversations ---------------------------------------------------------------------------


def test_conversations_know_where_they_stand_and_may_be_left_out(tmp_path: Path) -> None:
    entry = write(tmp_path / "x.jsonl", [{"talk": i} for i in range(6)])
    entry.columns = {"messages": "talk"}

    def read(row: Mapping[str, Any], where: str) -> tuple[int, str]:
        if row["messages"] % 2:
            raise BadRow("odd", "is odd")
        return row["messages"], where

    found = load_conversations([entry], read, seed=0, bad_rows="drop")
    assert sorted(found) == [(i, f"{tmp_path}/x.jsonl:{i + 1}") for i in (0, 2, 4)]
    with pytest.raises(ConfigError, match=r"^dataset\.train_datasets\[0\]: .*x\.jsonl:2: is odd"):
        load_conversations([entry], read, seed=0)


def test_half_a_surrogate_pair_in_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "What \\ud800 is 1+1?", "answer": "2", "n": {"x": ["\\udc00"]}}\n')
    [problem] = load_problems([DatasetEntry(name_or_path=str(path))], seed=1)
    assert problem.text == "What \ufffd is 1+1?" and problem.extra["n"] == {"x": ["\ufffd"]}
