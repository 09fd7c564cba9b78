"""The suites of labelled answers: how they are read, and how far our verdicts agree with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.answers import (
    Pair,
    agreement,
    batch,
    golds,
    labelled_pairs,
    main,
    math_verify_pairs,
    seconds,
)

SHARED = Path(__file__).parents[3] / "shared"
CHECKOUT = os.environ.get("MATH_VERIFY_CHECKOUT")


def test_math_verify_tests_are_read_where_they_fit_one_box(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(
        """
import pytest
@pytest.mark.parametrize("gold,pred,expected", [
    ("$9$", "Answer $ 9 $", 1),
    ("$1$ and $2$", "so it is \\\\boxed{1, 2}.", 1),
    ("$(1,2)$", "\\\\boxed{(1,2)} and \\\\boxed{(3,4)}", 0),
    ("$2$", "first $1$, then $2$, and that is the end of it", 1),
    ("$28\\\\%$", "28 percent", 1),
    (f"{1}", "1", 1),
])
def test_some(gold, pred, expected): ...
@pytest.mark.parametrize("gold,pred,expected,precision", [("1", "1", 1, 2)])
def test_options(gold, pred, expected, precision): ...
"""
    )
    found = {(p.answer, p.solution.split("boxed")[1]): p.right for p in math_verify_pairs(tmp_path)}
    assert found == {
        ("9", "{9}."): True,
        ("1 and 2", "{1, 2}."): True,
        (r"28\%", "{28 percent}."): True,
    }


def test_a_batch_has_no_pair_twice_and_is_about_half_right() -> None:
    pairs = batch(200)
    assert len({(p.solution, p.answer) for p in pairs}) == 200
    assert seconds(pairs[:8]) > 0


def test_agreement_counts_wrong_answers_that_are_accepted() -> None:
    pairs = [Pair(r"\boxed{1}", "1", True), Pair(r"\boxed{1}", "1", False)]
    figures, misses = agreement("made up", pairs)
    assert (figures.pairs, figures.ours, figures.ours_accepted) == (2, 1, 1)
    assert misses == [(pairs[1], True)]


def test_the_command_says_what_it_cannot_find(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--pairs", str(tmp_path / "none.jsonl")])
    assert stopped.value.code == 2


def test_pairs_from_reports() -> None:
    path = SHARED / "cases" / "answers.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    figures, misses = agreement("reports", labelled_pairs(path))
    assert figures.ours >= 0.97 * figures.pairs, misses
    assert figures.ours_accepted == 0, misses


@pytest.mark.parametrize("name", ["math500-100.jsonl", "gsm8k-train-600.jsonl"])
def test_every_reference_accepts_itself(name: str) -> None:
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    figures, misses = agreement(name, golds(path))
    assert figures.ours == figures.pairs >= 100, misses


@pytest.mark.skipif(not CHECKOUT, reason="MATH_VERIFY_CHECKOUT is not set")
def test_math_verify_tests() -> None:
    figures, misses = agreement("math-verify", math_verify_pairs(Path(CHECKOUT or "")))
    assert figures.ours >= 215 / 227 * figures.pairs, misses
    assert figures.ours_accepted <= 1, misses  # \text{13}, see docs/answers.md
