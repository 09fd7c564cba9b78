"""Shares of REJECT verdicts, as the paper counts them, beside whether any verdict rejects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from utils.metrics.conversation import summarise
from utils.metrics.verdicts import (
    leaked,
    leaked_any,
    missing,
    only_reported,
    rejected,
    rejected_any,
)
from utils.records import ConversationRecord, VerdictRecord

LEAK = "does_not_leak_answer"
WORDS = {"O": "OK", "R": "REJECT", "-": None}
Metric = Callable[[ConversationRecord], float | None]


def talk(problem: str = "p", reported: tuple[str, ...] = (), **verdicts: str) -> ConversationRecord:
    """`verdicts`: rule -> letters, one an attempt: O, R or - (missing)."""
    return ConversationRecord(
        problem_id=problem,
        problem="What is 2 + 2?",
        answer="4",
        verdicts={
            rule: [
                VerdictRecord(decision=WORDS[x], counts=rule not in reported)  # type: ignore[arg-type]
                for x in letters
            ]
            for rule, letters in verdicts.items()
        },
    )


@pytest.mark.parametrize(
    ("letters", "share", "some"),
    [("OO", 0.0, 0.0), ("OR", 0.5, 1.0), ("RR", 1.0, 1.0), ("ORO", 1 / 3, 1.0), ("R-", 1.0, 1.0),
     ("O-", None, None), ("--", None, None), ("", None, None)],
)  # fmt: skip
def test_a_leak_is_never_no_while_a_verdict_is_missing(
    letters: str, share: float | None, some: float | None
) -> None:
    one = talk(**{LEAK: letters})
    assert (leaked(one), leaked_any(one)) == (share, some)


def test_the_share_of_verdicts_is_not_the_share_of_conversations() -> None:
    """Eight conversations with two OK, two with one REJECT of two: 0.1, not 0.2."""
    rows = [talk(f"p{i}", **{LEAK: "OO" if i < 8 else "OR"}) for i in range(10)]
    found = summarise(rows)
    assert found["leaked"].mean == pytest.approx(0.1)
    assert found["leaked_any"].mean == pytest.approx(0.2)
    assert found["rejected"].mean == pytest.approx(0.1)
    assert found["rejected_any"].mean == pytest.approx(0.2)
    assert found[f"rejected_by_{LEAK}"].mean == pytest.approx(0.1)
    assert found[f"rejected_any_by_{LEAK}"].mean == pytest.approx(0.2)


def test_a_conversation_counts_once_whatever_its_number_of_verdicts() -> None:
    rows = [talk("a", **{LEAK: "OOOR"}), talk("b", **{LEAK: "OOR"})]
    assert summarise(rows)["leaked"].mean == pytest.approx((1 / 4 + 1 / 3) / 2)


@pytest.mark.parametrize(
    ("leak", "teach", "share", "some"),
    [("O", "O", 0.0, 0.0), ("O", "R", 0.5, 1.0), ("-", "R", 1.0, 1.0), ("-", "O", None, None)],
)
def test_rejected_is_of_all_rules_that_count(
    leak: str, teach: str, share: float | None, some: float | None
) -> None:
    one = talk(**{LEAK: leak, "teaches": teach})
    assert (rejected(one), rejected_any(one)) == (share, some)


@pytest.mark.parametrize("metric", [rejected, rejected_any, missing])
def test_rules_that_are_only_reported_reject_nothing(metric: Metric) -> None:
    verdicts = {LEAK: "O", "extra": "R-"}
    assert metric(talk(reported=("extra",), **verdicts)) == 0.0
    assert metric(talk(**verdicts)) in (0.5, 1.0)
    assert metric(talk()) is None


def test_a_reported_rule_is_measured_all_the_same() -> None:
    rows = [talk(reported=("extra",), **{LEAK: "O", "extra": "RO"})]
    assert summarise(rows)["rejected_by_extra"].mean == 0.5
    assert only_reported(rows) == ["extra"]


def test_the_leak_rule_is_the_one_that_the_record_names() -> None:
    one = talk(**{LEAK: "O", "says_it": "R"}).model_copy(update={"leak_rule": "says_it"})
    assert (leaked(one), leaked_any(one)) == (1.0, 1.0)
    assert leaked(talk(other="R")) is None
