"""Metrics of sessions, computed by hand: help by position, fading, what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from config.schema import TrainRLConfig
from tests.synthetic import record as synthetic
from tests.utils.metrics.test_conversation import solved
from utils.metrics.conversation import conversation_metrics, is_share, summarise
from utils.metrics.monitors import MONITORS, own_numbers
from utils.metrics.sessions import fading_slope, retention, session_metrics, session_names
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord, Message, TaughtProblem, VerdictRecord
from utils.sessions import talks

Share = tuple[int, int]


def session(
    tokens: Sequence[Sequence[int]],
    alone: Sequence[Share] = (),
    helped: Sequence[Share] = (),
    last: Share = (0, 0),
    **more: Any,
) -> ConversationRecord:
    """`tokens`: of each tutor turn, by taught problem."""
    none = [(0, 0)] * len(tokens)
    reached = more.pop("reached", len(tokens))
    return ConversationRecord(
        problem_id="last",
        problem="What is 9 + 9?",
        answer="18",
        messages=[
            Message(role=role, content="x", visible=f"{i}", tokens=n, problem=i)
            for i, turns in enumerate(tokens)
            for n in turns
            for role in ("teacher", "student")
        ],
        session=[
            TaughtProblem(
                problem_id=f"e{i}",
                problem=f"What is {i} + 1?",
                answer=str(i + 1),
                stop_reason="tutor_ended" if i < reached else None,
                alone=solved(*before),
                solutions=solved(*after),
            )
            for i, (before, after) in enumerate(zip(alone or none, helped or none, strict=True))
        ],
        solutions=solved(*last),
        **more,
    )


def values(record: ConversationRecord) -> dict[str, float | None]:
    return {name: metric(record) for name, metric in session_metrics([record]).items()}


def test_by_position() -> None:
    reject, ok = VerdictRecord(decision="REJECT"), VerdictRecord(decision="OK", problem=1)
    found = values(
        session(
            [[10, 30], [5]], alone=[(1, 4), (2, 4)], helped=[(3, 4), (4, 4)], last=(3, 4),
            verdicts={"does_not_leak_answer": [reject, ok]},
        )
    )  # fmt: skip
    assert found == {
        "solve_alone_1": 0.25, "solve_alone_2": 0.5, "solve_alone_3": 0.75,
        "solve_helped_1": 0.75, "solve_helped_2": 1.0,
        "support_tokens_1": 40.0, "support_tokens_2": 5.0,
        "hints_1": 2.0, "hints_2": 1.0,
        "leaked_1": 1.0, "leaked_2": 0.0,
        "fading_slope": -35.0,
        "retention": pytest.approx((0.5 / 0.75 + 0.75 / 1.0) / 2),
        "problems_reached": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "slope"),
    [([[40], [30], [10]], -15.0), ([[10], [10]], 0.0), ([[3]], None), ([[0], [2], [1], [5]], 1.4)],
)
def test_the_slope_is_that_of_a_straight_line(tokens: list[list[int]], slope: float | None) -> None:
    assert fading_slope(session(tokens)) == (None if slope is None else pytest.approx(slope))


def test_what_was_never_solved_is_not_kept_and_not_lost() -> None:
    never = session([[1], [1]], alone=[(0, 4)] * 2, helped=[(0, 4)] * 2, last=(1, 4))
    assert retention(never) is None
    only = session([[1], [1]], alone=[(0, 4)] * 2, helped=[(0, 4), (2, 4)], last=(1, 4))
    assert retention(only) == 0.5


def test_a_problem_that_was_not_come_to_has_no_numbers() -> None:
    found = values(session([[9], []], helped=[(1, 2), (0, 0)], last=(1, 2), reached=1))
    assert found["support_tokens_2"] is None and found["problems_reached"] == 0.5
    assert found["retention"] is None, "the last problem came after the second"


def test_there_are_none_without_sessions() -> None:
    one = synthetic(0)
    assert session_metrics([one]) == {} and session_names(1) == []
    mixed = session_metrics([one, session([[1], [1]])])
    assert all(metric(one) is None for metric in mixed.values())


def test_names_are_known_before_anything_is_measured() -> None:
    record = session([[1], [1]], last=(1, 1))
    assert sorted(session_names(3)) == sorted(session_metrics([record]))
    assert TrainRLConfig().generation.problems_per_session == 1
    shares = [n for n in session_names(3) if is_share(n)]
    assert shares == [n for n in session_names(3) if n.startswith(("solve", "leaked", "problems"))]


def test_they_stand_in_the_summary_and_among_the_curves() -> None:
    records = [session([[10], [4]], last=(1, 2)), session([[20], [4]], last=(2, 2))]
    found = summarise(records)
    assert found["support_tokens_1"].mean == 15.0 and found["solve_alone_3"].mean == 0.75
    curves = rollout_metrics(records)
    assert curves["classroom/support_tokens_2"] == 4.0 and curves["classroom/fading_slope"] == -11
    assert set(found) >= set(conversation_metrics(records))


def test_monitors_see_each_talk_with_its_own_problem() -> None:
    """The tutor says "0" of `0 + 1` and "1" of `1 + 1`: numbers of its problem, not of the last."""
    assert own_numbers([session([[1], [1]])]).mean == 1.0
    for monitor in MONITORS:
        monitor.value([session([[1], [1]])])


def test_a_talk_has_its_own_scores() -> None:
    record = session([[1, 1], [1]], ped_rm=[0.1, 0.2, 0.3])
    assert [talk.ped_rm for talk in talks(record)] == [[0.1, 0.2], [0.3]]
