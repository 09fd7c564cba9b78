"""Metrics of both post-tests, each by hand: gains, gates, gaps, what is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.utils.metrics.test_conversation import MISSING, OK, REJECT, solved, talk
from utils.compare import compare
from utils.metrics.conversation import is_share, is_signed, more_is_better, summarise
from utils.metrics.post_tests import OF_TRANSFER
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord, Message, TransferTest
from utils.runs.read import Run

Rate = tuple[int, int]


def asked(
    problem: str = "p",
    *,
    same: tuple[Rate, Rate] = ((0, 0), (0, 0)),
    other: tuple[Rate, Rate] = ((0, 0), (0, 0)),
    leak: list[str | None] | None = None,
    hidden: bool = True,
) -> ConversationRecord:
    found = talk(
        problem, before=same[0], after=same[1],
        **({} if leak is None else {"does_not_leak_answer": leak}),
    )  # fmt: skip
    found.transfer = TransferTest(
        problem="q", answer="a", tutor_hidden=hidden,
        initial_solutions=solved(*other[0]), solutions=solved(*other[1]),
    )  # fmt: skip
    return found


def value(record: ConversationRecord, name: str) -> float | None:
    return OF_TRANSFER[name](record)


@pytest.mark.parametrize(
    ("same", "other", "gains", "gap"),
    [
        (((1, 4), (4, 4)), ((1, 4), (2, 4)), (1.0, 1 / 3), 2 / 3),
        (((4, 4), (4, 4)), ((0, 4), (4, 4)), (0.0, 1.0), -1.0),  # pre = 1
        (((0, 4), (0, 4)), ((4, 4), (1, 4)), (0.0, -0.75), 0.75),  # pre = 0; pre = 1 and a loss
        (((0, 4), (2, 4)), ((0, 0), (2, 4)), (0.5, None), None),  # before was not measured
        (((0, 0), (0, 0)), ((0, 4), (1, 4)), (None, 0.25), None),  # not asked
    ],
)
def test_gains_and_their_gap(same, other, gains, gap) -> None:  # type: ignore[no-untyped-def]
    record = asked(same=same, other=other)
    assert value(record, "gain_same") == pytest.approx(gains[0])
    assert value(record, "gain_transfer") == pytest.approx(gains[1])
    assert value(record, "transfer_gap") == pytest.approx(gap)


@pytest.mark.parametrize(
    ("leak", "solve", "gain"),
    [
        ([OK, OK], 0.5, 0.5),
        ([REJECT, OK], 0.0, 0.0),
        ([REJECT, MISSING], 0.0, 0.0),
        ([OK, MISSING], None, None),  # a missing verdict is no OK
        (None, None, None),  # nobody judged
    ],
)
def test_gates(leak: list[str | None] | None, solve: float | None, gain: float | None) -> None:
    record = asked(other=((0, 4), (2, 4)), leak=leak)
    assert value(record, "solve_transfer_gated") == solve
    assert value(record, "gain_transfer_gated") == gain
    assert value(record, "gain_same_gated") is None


def test_a_loss_is_0_where_the_answer_was_leaked() -> None:
    record = asked(same=((4, 4), (0, 4)), leak=[REJECT])
    assert value(record, "gain_same") == -1.0 and value(record, "gain_same_gated") == 0.0


def test_the_share_of_turns_hidden() -> None:
    record = asked(other=((0, 1), (1, 1)))
    said = [("teacher", "a"), ("student", "b"), ("teacher", ""), ("student", "c")]
    record.messages = [
        Message(role=role, content=text, visible=text)  # type: ignore[arg-type]
        for role, text in said
    ]
    assert value(record, "turns_hidden") == 0.25  # nothing was seen of the third one
    record.messages[0].withheld = record.messages[1].scripted = True
    assert value(record, "turns_hidden") == 0.0
    assert value(asked(), "turns_hidden") is None
    shown = asked(other=((0, 1), (1, 1)), hidden=False)
    shown.messages = record.messages[2:]
    assert value(shown, "turns_hidden") == 0.0


def test_means_are_clustered_by_problem_and_stay_in_their_range() -> None:
    rows = [
        asked(f"p{i // 2}", same=((0, 4), (4, 4)), other=((0, 4), (i % 3, 4)), leak=[OK])
        for i in range(24)
    ]
    found = summarise(rows)
    assert found["solve_same"].mean == found["solve_after"].mean == 1.0
    assert found["solve_transfer"].mean == pytest.approx(0.25)
    for name in ("solve_transfer", "gain_transfer", "transfer_gap", "gain_same_gated"):
        assert (found[name].n, found[name].clusters) == (24, 12)
    assert found["gain_same"].high == 1.0
    assert is_share("solve_transfer") and is_share("turns_hidden") and is_signed("gain_transfer")
    assert not is_share("transfer_gap") and not more_is_better("transfer_gap")


def test_records_without_another_problem_have_none_of_it() -> None:
    assert not {*OF_TRANSFER} & {*summarise([talk(after=(1, 2))])}


def test_hard_lambda_solves_the_accepted_alone() -> None:
    rows = [asked(other=((0, 4), (4, 4)), leak=[OK]), asked("q", leak=[REJECT])]
    rows = [r.model_copy(update={"accepted_only": True}) for r in rows]
    found = summarise(rows)
    assert found["solve_transfer"].n == 0
    assert (found["solve_transfer_accepted"].mean, found["solve_transfer_accepted"].n) == (1.0, 1)
    assert rollout_metrics(rows)["classroom/solve_transfer_accepted"] == 1.0


def test_two_runs_are_compared_on_both_tests() -> None:
    def run(name: str, right: int) -> Run:
        rows = [asked(f"p{i}", other=((0, 4), (right, 4)), leak=[OK]) for i in range(3)]
        return Run(folder=Path(name), name=name, records=rows, config={})

    rows, changes = compare(run("a", 1), run("b", 3))
    by_name = {row.name: row for row in rows}
    assert by_name["solve_transfer"].difference.mean == 0.5
    assert by_name["gain_transfer_gated"].difference.mean == 0.5
    assert [change.what[0] for change in changes] == ["solve: 0.25 -> 0.75"] * 3
