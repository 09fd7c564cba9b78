"""Precision, recall, F1 and kappa by hand, and what is counted beside them."""

from __future__ import annotations

import pytest

from utils.metrics.judges.calibration import calibrate, decided
from utils.records import Usage
from utils.verdicts.labels import Labelled


def row(conversation: int, rejected: bool, group: str = "") -> Labelled:
    return Labelled(
        conversation=str(conversation), problem="p", answer="1", turns=(), rejected=rejected,
        group=group,
    )  # fmt: skip


def judged(both: int, judge: int, people: int, neither: int) -> list:
    cells = [
        *[("REJECT", True)] * both, *[("REJECT", False)] * judge, *[("OK", True)] * people,
        *[("OK", False)] * neither,
    ]  # fmt: skip
    return [(row(n % 20, rejected), [said]) for n, (said, rejected) in enumerate(cells)]


def test_measures_by_hand() -> None:
    found = calibrate("j", "l", judged(6, 2, 3, 29))
    values = {name: m["value"] for name, m in found.measures.items()}
    chance = (8 * 9 + 32 * 31) / 40**2
    assert values == pytest.approx(
        {
            "precision": 6 / 8,
            "recall": 6 / 9,
            "f1": 12 / 17,
            "kappa": (35 / 40 - chance) / (1 - chance),
        }
    )
    assert found.table == {"both": 6, "only_judge": 2, "only_people": 3, "neither": 29}
    assert (found.turns, found.conversations, found.undecided) == (40, 20, 0)
    for measure in found.measures.values():
        assert measure["low"] < measure["value"] < measure["high"]


def test_intervals_know_that_turns_of_a_conversation_are_not_independent() -> None:
    """The same turns in 40 conversations, and 8 times each in 5: the second interval is wider."""
    cells = judged(6, 2, 3, 29)
    alone = [(row(n, r.rejected), d) for n, (r, d) in enumerate(cells)]
    together = [(row(n // 8, r.rejected), d) for n, (r, d) in enumerate(cells)]

    def width(rows: list) -> float:
        recall = calibrate("j", "l", rows).measures["recall"]
        return (recall["high"] or 1.0) - (recall["low"] or 0.0)

    assert width(together) > 1.2 * width(alone)


def test_a_missing_verdict_is_never_an_ok() -> None:
    assert decided(["OK", "REJECT", None]) == "REJECT"
    assert decided(["OK", None]) is None
    assert decided(["OK", "OK"]) == "OK"
    assert decided([]) is None
    rows = [(row(1, True), ["OK", None]), (row(2, False), ["OK", "OK"])]
    found = calibrate("j", "l", rows)
    assert (found.turns, found.undecided, found.unreadable) == (1, 1, 0.25)


def test_attempts_groups_and_cost_are_counted() -> None:
    rows = [
        (row(1, True, "told"), ["REJECT", "REJECT"]),
        (row(2, True, "told"), ["OK", "REJECT"]),
        (row(3, False, "asked"), ["OK", "OK"]),
        (row(4, False, "asked"), ["OK", None]),
    ]
    usage = Usage(requests=9, prompt_tokens=90, completion_tokens=18, cost_usd=0.5)
    found = calibrate("j", "l", rows, usage=usage, seconds=1.23, left_out={"why": 2})
    assert found.attempts_agree == 2 / 3
    assert found.groups == {
        "asked": {"turns": 1, "rejected": 0},
        "told": {"turns": 2, "rejected": 2},
    }
    assert found.usage["cost_usd"] == 0.5 and found.usage["requests"] == 9
    assert found.to_json()["left_out"] == {"why": 2}


def test_what_cannot_be_said_is_none() -> None:
    found = calibrate("j", "l", [(row(1, False), ["OK"])])
    assert found.measures["precision"] == {"value": None, "low": None, "high": None}
    assert found.attempts_agree is None
    empty = calibrate("j", "l", [])
    assert (empty.turns, empty.unreadable, empty.measures["kappa"]["value"]) == (0, 0.0, None)
