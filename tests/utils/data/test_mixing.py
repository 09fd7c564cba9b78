"""How many rows of each source: by hand, by property, and as the paper's own code had it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.schema import DatasetEntry
from tests import oracle
from utils.data.load import load_problems
from utils.data.mixing import mix, shares

sources = st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 5)), min_size=1, max_size=4)


@given(sources, st.integers(0, 2**20), st.integers(1, 200))
def test_shares_are_of_the_limit(shape: list[tuple[int, float]], seed: int, limit: int) -> None:
    rows = [[(i, j) for j in range(size)] for i, (size, _) in enumerate(shape)]
    ratios = [ratio for _, ratio in shape]
    taken = shares([size for size, _ in shape], ratios, limit, setting="d")
    assert sum(taken) <= limit
    for (size, ratio), count in zip(shape, taken, strict=True):
        exact = limit * ratio / sum(ratios)
        assert count == size or exact - 1 < count <= exact
    if not sum(taken):
        with pytest.raises(ConfigError, match=f"a limit of {limit} is less than one each"):
            mix(rows, ratios, seed=seed, limit=limit, setting="d")
        return
    mixed = mix(rows, ratios, seed=seed, limit=limit, setting="d")
    assert [sum(i == k for k, _ in mixed) for i in range(len(shape))] == taken
    assert len(set(mixed)) == len(mixed)
    assert mixed == mix(rows, ratios, seed=seed, limit=limit, setting="d")


def test_without_a_limit_ratios_say_nothing_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert shares([10, 4], [0.75, 0.25], -1, setting="d") == [10, 4]
    assert "d: ratios share out a limit, and there is none: all rows" in caplog.text


def test_a_share_greater_than_its_source_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert shares([1000, 100], [0.5, 0.5], 100, setting="d") == [50, 50]
    assert shares([100, 30], [1, 1], 80, setting="d") == [40, 30]
    assert "d[1]: 30 of 30 rows (its share of 80 is 40)" in caplog.text


@pytest.mark.parametrize("case", oracle.cases("dataset"))
def test_as_the_papers_own_code(case: oracle.Case, tmp_path: Path) -> None:
    """Rows of each source.  Where it fails (a share greater than its source), ours takes all there
    are; a limit of 0 is no set and refused.
    """
    inputs = case["inputs"]
    for side, key, limit in (
        ("train", "train_datasets", "max_train_examples"),
        ("eval", "eval_datasets", "max_val_examples"),
    ):
        if key not in inputs:
            continue
        entries, names = [], []
        for source in inputs[key]:
            name = f"{source['name_or_path']}/{source['split']}"
            path = tmp_path / f"{name.replace('/', '-')}.jsonl"
            rows = [{"problem": f"{name}/{n}", "answer": "1"} for n in range(source["rows"])]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            entries.append(DatasetEntry(str(path), split=source["split"], ratio=source["ratio"]))
            names.append(name)
        if inputs[limit] == 0:
            with pytest.raises(ConfigError, match="no row is left"):
                load_problems(entries, seed=inputs["seed"], limit=0)
            continue
        found = load_problems(entries, seed=inputs["seed"], limit=inputs[limit])
        of_each = Counter(problem.text.rpartition("/")[0] for problem in found)
        expected = case["expected"][side]
        if expected is None:
            assert case["defects"] and side in case["expected"]["error_swallowed_for"]
            total = sum(source["ratio"] for source in inputs[key])
            assert of_each == {
                name: min(source["rows"], int(inputs[limit] * source["ratio"] / total))
                for name, source in zip(names, inputs[key], strict=True)
            }
        else:
            assert of_each == expected["of_each"] and len(found) == expected["rows"]
