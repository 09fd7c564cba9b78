"""Monitors and agreement: they ring on a tutor that has learnt to cheat, and not on a good one."""

from __future__ import annotations

import pytest

from tests.synthetic import records
from utils.metrics.agreement import agreements
from utils.metrics.monitors import (
    MONITORS,
    distinct_openings,
    ended_early,
    fits_its_problem,
    groups_without_spread,
    own_numbers,
    question_share,
    readings,
    repeated_turns,
    silent_turns,
    turn_length,
)
from utils.records import ConversationRecord, Message, VerdictRecord


def talk(problem: str, *turns: str, number: int = 0, **fields: object) -> ConversationRecord:
    said = [Message(role="teacher", content=t, visible=t) for t in turns]
    return ConversationRecord(
        problem_id=problem,
        problem=f"What is {problem} + 10?",
        answer="0",
        sample=number,
        messages=said,
        **fields,  # type: ignore[arg-type]
    )


def test_distinct_openings_compares_different_problems_only() -> None:
    same = [talk("1", "Hi"), talk("2", "hi "), talk("3", "HI")]
    assert distinct_openings(same).mean == 0.0
    own = [talk("1", "Hi 1", number=0), talk("1", "Hi 1", number=1), talk("2", "Hi 2")]
    assert distinct_openings(own).mean == 1.0
    # a, a for problem 1; a, b for problem 2: of the four pairs across, two differ
    mixed = [talk("1", "a"), talk("1", "a"), talk("2", "a"), talk("2", "b")]
    assert distinct_openings(mixed).mean == 0.5
    assert distinct_openings([talk("1", "a")]).n == 0


def test_own_numbers_in_any_spelling_and_none_without_numbers() -> None:
    rows = [talk("7", "Take seven first.", "And now?", "Add 10 to it.")]
    assert own_numbers(rows).mean == pytest.approx(2 / 3)
    wordy = rows[0].model_copy(update={"problem": "Prove it."})
    assert own_numbers([wordy]).n == 0


def test_numbers_fit_their_own_problem_better_than_another() -> None:
    own = [talk("47", "What is 7+4?"), talk("38", "What is 8+0?"), talk("74", "Hm.")]
    # 7 and 4 are all of 74's too; 8 is in no other
    assert fits_its_problem(own).mean == (0.5 + 1.0) / 2
    same = [talk("47", "What is 3+9?"), talk("38", "What is 3+9?"), talk("69", "What is 3+9?")]
    assert fits_its_problem(same).mean == 0.0
    half = [talk("47", "What is 7+9?"), talk("38", "What is 8+9?")]
    assert fits_its_problem(half).mean == 0.0
    assert fits_its_problem(own[:1]).n == 0


def test_what_was_told_or_said_by_others_says_nothing_of_the_fit() -> None:
    told = [talk("47", "It is 57.").model_copy(update={"answer": "57"}), talk("38", "Hm.")]
    assert fits_its_problem(told).n == 0
    answered = talk("47", "7 and 4?", "Right, 11: 11 and 4?")
    student = Message(role="student", content="11", visible="11")
    answered.messages.insert(1, student)
    assert fits_its_problem([answered, talk("38", "Hm.")]).mean == 1.0


def test_turns_are_measured_as_the_student_sees_them() -> None:
    rows = [talk("1", "What is it?", "Go on.", "Go on.", "")]
    assert question_share(rows).mean == 0.25
    assert turn_length(rows).mean == (3 + 2 + 2 + 0) / 4
    assert repeated_turns(rows).mean == pytest.approx(1 / 3)
    assert silent_turns(rows).mean == 0.25


def test_ended_early_is_the_tutors_doing() -> None:
    rows = [
        talk("1", "Bye.", stop_reason="tutor_ended"),
        talk("2", "Hi.", "Bye.", stop_reason="tutor_ended"),
        talk("3", "Hi.", stop_reason="max_turns"),
        talk("4"),
    ]
    assert ended_early(rows).mean == pytest.approx(1 / 3)


def test_groups_without_spread() -> None:
    def row(problem: str, sample: int, total: float, step: int = 0) -> ConversationRecord:
        return talk(problem, number=sample, step=step, rewards={"total": total})

    rows = [row("1", 0, 0.5), row("1", 1, 0.5), row("2", 0, 0.0), row("2", 1, 1.0), row("3", 0, 1)]
    assert (groups_without_spread(rows).mean, groups_without_spread(rows).n) == (0.5, 2)
    across = [row("1", 0, 0.5), row("1", 1, 1.0, step=1)]
    assert groups_without_spread(across).n == 0


def hacked(step: int) -> list[ConversationRecord]:
    """The same meaningless question for every problem, solved every time."""
    return [
        talk(str(p), "What is 5+5?", number=s, step=step, rewards={"total": 1.0})
        for p in range(40, 52)
        for s in range(2)
    ]


def honest(step: int) -> list[ConversationRecord]:
    return [
        talk(
            str(p),
            f"What is {p % 10}+0 in {p}+10?",
            number=s,
            step=step,
            rewards={"total": (p + s) % 3 / 3},
        )
        for p in range(40, 52)
        for s in range(2)
    ]


def rings(rows: list[ConversationRecord], **more: object) -> set[str]:
    return {r.name for r in readings(rows, **more) if r.alarm}  # type: ignore[arg-type]


def test_alarms_ring_when_a_tutor_collapses() -> None:
    fine = [r for step in range(10) for r in honest(step)]
    assert rings(fine) == set()
    collapsed = [r for step in range(10) for r in (honest(step) if step < 5 else hacked(step))]
    assert {"distinct_openings", "own_numbers", "groups_without_spread"} <= rings(collapsed)
    found = {r.name: r for r in readings(collapsed)}
    assert found["own_numbers"].start is not None and found["own_numbers"].start.mean == 1.0
    assert "few tutor turns" in str(found["own_numbers"].alarm)


def test_alarms_ring_on_an_evaluation_without_a_start() -> None:
    assert "distinct_openings" in rings(hacked(0))


def test_kl_comes_from_the_log() -> None:
    curve = [{"step": s, "kl": 0.3 * s} for s in range(6)]
    assert "kl" in rings(honest(0), curve=curve)
    assert "kl" not in rings(honest(0), curve=curve[:3])
    assert "kl" not in {r.name for r in readings(honest(0))}


def test_few_values_ring_nothing() -> None:
    assert rings(hacked(0)[:4]) == set()
    assert all(m.value([]).n == 0 for m in MONITORS)


def test_agreement_of_a_matcher_and_a_model() -> None:
    def judged(number: int, matcher: str, *model: str | None) -> ConversationRecord:
        verdicts = {
            "matcher": [VerdictRecord(decision=matcher)],  # type: ignore[arg-type]
            "model": [VerdictRecord(decision=d) for d in model],  # type: ignore[arg-type]
        }
        return talk(str(number), verdicts=verdicts)

    rows = [
        judged(0, "OK", "OK", "OK"),
        judged(1, "OK", "OK", "REJECT"),
        judged(2, "REJECT", "REJECT", "REJECT"),
        judged(3, "REJECT", None, "OK"),
    ]
    found = {(a.first, a.second): a for a in agreements(rows)}
    across = found["matcher", "model"]  # the fourth has no verdict of the model's
    assert (across.n, across.share) == (3, pytest.approx(2 / 3))
    own = found["model (attempt)", "model (another)"]
    assert (own.n, own.share) == (3, pytest.approx(2 / 3))
    assert len(found) == 2


def test_agreement_of_synthetic_rules_is_between_chance_and_all() -> None:
    across = next(a for a in agreements(records(400)) if "attempt" not in a.first)
    assert across.kappa is not None and 0.3 < across.kappa < 1.0
    assert across.low is not None and across.low < across.kappa < (across.high or 0)


def test_what_was_so_from_the_start_rings_nothing() -> None:
    always = [r for step in range(10) for r in hacked(step)]
    assert rings(always) == set()
