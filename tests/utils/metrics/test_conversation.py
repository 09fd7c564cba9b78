"""Metrics from records made by hand: each counted, and each None left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.synthetic import record, records
from utils.metrics.conversation import (
    delta,
    normalised_gains,
    ped_rm,
    solve_after,
    stop_reasons,
    summarise,
    write_json,
)
from utils.metrics.metric_groups import difficulty, to_json
from utils.metrics.results import results
from utils.records import ConversationRecord, Solution, VerdictRecord

OK, REJECT, MISSING = "OK", "REJECT", None


def solved(right: int, of: int) -> list[Solution]:
    return [Solution(text="", correct=i < right) for i in range(of)]


def talk(
    problem: str = "p",
    *,
    before: tuple[int, int] = (0, 0),
    after: tuple[int, int] = (0, 0),
    **verdicts: list[str | None],
) -> ConversationRecord:
    return ConversationRecord(
        problem_id=problem,
        problem="What is 2 + 2?",
        answer="4",
        initial_solutions=solved(*before),
        solutions=solved(*after),
        verdicts={
            rule: [VerdictRecord(decision=d) for d in found]  # type: ignore[arg-type]
            for rule, found in verdicts.items()
        },
    )


def test_solve_rates_are_none_where_nothing_was_sampled() -> None:
    assert solve_after(talk()) is None
    assert delta(talk(after=(1, 2))) is None
    assert delta(talk(before=(1, 4), after=(3, 4))) == 0.5


def test_what_was_solved_only_if_accepted_has_metrics_of_its_own() -> None:
    """Hard lambda: the mean over accepted conversations is not the mean over all."""
    rows = [
        talk("a", before=(1, 4), after=(3, 4), does_not_leak_answer=[OK]),
        talk("b", before=(0, 4), does_not_leak_answer=[OK, REJECT]),
        talk("c", before=(2, 4), after=(4, 4), does_not_leak_answer=[OK]),
        talk("d", before=(2, 4), after=(2, 4), does_not_leak_answer=[REJECT]),
    ]
    for row in rows[:2]:
        row.accepted_only = True
    found = summarise(rows)
    assert (found["solve_before"].mean, found["solve_before"].n) == (5 / 16, 4)
    assert (found["solve_after"].mean, found["solve_after"].n) == (0.75, 2)  # c and d
    assert (found["delta"].mean, found["delta"].n) == (0.25, 2)
    assert (found["solve_after_accepted"].mean, found["solve_after_accepted"].n) == (0.875, 2)
    assert (found["delta_accepted"].mean, found["delta_accepted"].n) == (0.5, 2)
    assert "solve_after_accepted" not in summarise(rows[2:])


def test_a_gain_stays_between_minus_one_and_one() -> None:
    rows = [talk(p, before=(0, 8), after=(8, 8)) for p in "ab"]
    found = summarise([*rows, talk("c", before=(0, 8), after=(7, 8))])["delta"]
    assert found.high is not None and 0.9 < found.high <= 1.0


def test_normalised_gain_is_of_a_problem() -> None:
    rows = [
        talk("a", before=(1, 4), after=(2, 4)),  # problem a: .25 before, .75 after: 2/3
        talk("a", before=(1, 4), after=(4, 4)),
        talk("b", before=(4, 4), after=(2, 4)),  # nothing to gain
        talk("c", before=(2, 4), after=(0, 4)),  # a loss
        talk("d", after=(4, 4)),  # never measured before
    ]
    assert normalised_gains(rows) == {"a": pytest.approx(2 / 3), "c": -1.0}
    assert summarise(rows)["normalised_gain"].n == 2


def test_ped_rm_micro_counts_turns_and_macro_conversations() -> None:
    scores = ([1.0, 3.0, 5.0], [7.0])
    rows = [record(i).model_copy(update={"ped_rm": s}) for i, s in enumerate(scores)]
    rows.append(record(5))
    micro, macro = ped_rm(rows)
    assert (micro.mean, micro.n) == (4.0, 4)
    assert (macro.mean, macro.n) == (5.0, 2)


def test_means_leave_out_what_is_none() -> None:
    rows = [
        talk("a", after=(1, 2), does_not_leak_answer=[REJECT]),
        talk("b", after=(2, 2), does_not_leak_answer=[OK]),
        talk("c", does_not_leak_answer=[OK, MISSING]),
    ]
    found = summarise(rows)
    assert (found["solve_after"].mean, found["solve_after"].n) == (0.75, 2)
    assert (found["leaked"].mean, found["leaked"].n) == (0.5, 2)
    assert (found["missing"].mean, found["missing"].n) == (pytest.approx(1 / 3), 3)
    assert found["delta"].n == 0 and found["delta"].mean is None


NAMES = (
    "solve_before", "solve_after", "delta", "normalised_gain", "leaked", "rejected", "missing",
    "ped_rm_micro", "ped_rm_macro", "turns",
)  # fmt: skip


def test_metrics_json_has_every_name_even_for_nothing(tmp_path: Path) -> None:
    for rows in ([], [talk()], records(30, samples=3)):
        path = tmp_path / "metrics.json"
        write_json(path, results(rows))
        content = json.loads(path.read_text())
        for name in NAMES:
            assert {"mean", "se", "n"} <= set(content[name]), name
        for group in (g for groups in content["by"].values() for g in groups.values()):
            assert tuple(group)[: len(NAMES)] == NAMES
        assert tuple(content)[: len(NAMES)] == NAMES
        assert set(content["by"]) == {"type", "source", "difficulty", "persona"}


def test_groups_are_the_metrics_of_their_part() -> None:
    rows = records(60, samples=2)
    guided = to_json([r for r in rows if r.type == "guided"])
    found = to_json(rows)["by"]["type"]["guided"]
    assert found["solve_after"] == guided["solve_after"]
    assert found["leaked"]["n"] == sum(r.type == "guided" for r in rows)
    sources = to_json(rows)["by"]["source"]
    assert sum(group["turns"]["n"] for group in sources.values()) == 60


@pytest.mark.parametrize(
    ("extra", "before", "band"),
    [({"level": 3}, (0, 0), "level 3"), ({"llama8b_solve_rate": 0.05}, (1, 1), "solved <10%"),
     ({"solve_rate": 0.3}, (0, 0), "solved 30-60%"), ({}, (1, 1), "solved >=60% (measured)"),
     ({}, (0, 0), "unknown")],
)  # fmt: skip
def test_difficulty_prefers_what_was_known_beforehand(
    extra: dict[str, object], before: tuple[int, int], band: str
) -> None:
    assert difficulty(talk(before=before).model_copy(update={"extra": extra})) == band


def test_bands_stand_in_the_order_of_their_numbers() -> None:
    rates = [0.9, 0.05, 0.4, 0.2]
    levels = [10, 2, 1, 3]
    for key, values in (("solve_rate", rates), ("level", levels)):
        rows = [talk(str(v)).model_copy(update={"extra": {key: v}}) for v in values]
        bands = [difficulty(row) for row in sorted(rows, key=lambda r: r.extra[key])]
        assert list(to_json(rows)["by"]["difficulty"]) == bands


def test_tokens_turns_and_endings() -> None:
    row = record(0)
    found = summarise([row])
    assert found["turns"].mean == len(row.messages)
    assert found["tutor_tokens"].mean == sum(m.tokens for m in row.messages if m.role == "teacher")
    assert found["tokens"].mean == 360
    assert stop_reasons([row, row]) == {row.stop_reason: 2}
    assert sum(found[f"ended_{r}"].mean or 0 for r in ("tutor_ended", "max_turns")) == 1.0


def test_control_arm_is_paired_by_problem() -> None:
    real = [talk("a", before=(1, 4), after=(4, 4)), talk("b", before=(2, 4), after=(3, 4))]
    control = [talk("b", before=(2, 4), after=(2, 4)), talk("a", before=(1, 4), after=(2, 4))]
    found = results(real, control=control)
    assert found["control_delta"]["mean"] == pytest.approx(0.125)
    assert found["control_difference"]["mean"] == pytest.approx(0.375)  # (.5 + .25) / 2
    assert "control_delta" not in results(real)


def test_every_metric_can_be_recomputed_from_the_file(tmp_path: Path) -> None:
    rows = records(20, samples=2, thinking=True, tokens=True)
    again = [ConversationRecord.from_json(r.to_json()) for r in rows]
    assert results(rows) == results(again)
