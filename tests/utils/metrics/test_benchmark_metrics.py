"""F1, BLEU and accuracy of benchmarks, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from utils.metrics.benchmark_metrics import benchmark_metrics, f1_averages
from utils.records import ConversationRecord, Solution


def row(number: int, source: str, gold: str | None, answer: str | None, **more: Any) -> Any:
    solution = Solution(text="", answer=answer, correct=gold == answer, **more)
    return ConversationRecord(
        problem_id=f"{source}{number}",
        problem="p",
        answer="4",
        source=source,
        extra={} if gold is None else {"gold": gold},
        solutions=[solution],
    )


def test_f1_of_finding_wrong_solutions() -> None:
    said = [("wrong", "wrong"), ("wrong", "correct"), ("correct", "wrong"),
            ("correct", "correct"), ("wrong", None)]  # fmt: skip
    found = benchmark_metrics([row(i, "c", *pair) for i, pair in enumerate(said)])
    # one hit; three wrong ones, two called wrong: 2 * 1 / (3 + 2)
    assert found["f1_wrong"]["mean"] == pytest.approx(0.4)
    assert found["accuracy"]["mean"] == pytest.approx(0.4)


def test_f1_of_locating_a_step_averaged_three_ways() -> None:
    pairs = [("0", "0"), ("0", "2"), ("1", "1"), ("2", "1"), ("2", "2"), ("2", "9")]
    # label 0: 2*1/(2+1); 1: 2*1/(1+2); 2: 2*1/(3+2); 9: 0, since it is said and never there
    found = f1_averages(pairs)
    assert found["micro"] == pytest.approx(3 / 6)
    assert found["macro"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 5 + 0) / 4)
    assert found["weighted"] == pytest.approx((2 * 2 / 3 + 1 * 2 / 3 + 3 * 2 / 5) / 6)
    metrics = benchmark_metrics([row(i, "l", *pair) for i, pair in enumerate(pairs)])
    assert metrics["f1_macro"]["mean"] == pytest.approx(found["macro"])
    assert metrics["f1_micro"]["n"] == 6 and "f1_wrong" not in metrics


def test_each_task_has_its_own_numbers_where_there_are_several() -> None:
    rows = [
        row(0, "socratic_questioning", None, None, score=0.25),
        row(1, "socratic_questioning", None, None, score=0.0),
        row(0, "solution_correctness", "wrong", "wrong"),
        row(0, "mistake_location", "0", "0"),
        row(0, "problem_solving", None, "4"),
    ]
    found = benchmark_metrics(rows)
    assert found["bleu_socratic_questioning"]["mean"] == pytest.approx(0.125)
    assert found["bleu_socratic_questioning"]["n"] == 2
    assert found["f1_wrong_solution_correctness"]["mean"] == 1.0
    assert found["f1_weighted_mistake_location"]["mean"] == 1.0
    assert found["accuracy_problem_solving"]["mean"] == 0.0
    assert "accuracy_socratic_questioning" not in found
    assert found["accuracy"]["n"] == 3, "questions are neither right nor wrong"


def test_a_request_that_failed_counts_nowhere() -> None:
    failed = row(0, "mistake_location", "0", "0").model_copy(update={"solutions": []})
    assert benchmark_metrics([failed])["accuracy"]["n"] == 0
