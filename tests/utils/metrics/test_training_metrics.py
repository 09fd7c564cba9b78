"""Numbers of a batch: missing verdicts and judges' agreement, in the curves and in the table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from src.grpo.summary import print_summary
from tests.synthetic import record
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord, VerdictRecord
from utils.rewards import RewardSettings, exclusion, rewards
from utils.runs.record_writer import RecordWriter

Decision = Literal["OK", "REJECT"] | None


def judged(number: int, matcher: Decision, *model: Decision) -> ConversationRecord:
    verdicts = {
        "does_not_leak_answer": [VerdictRecord(decision=d) for d in model],
        "matched": [VerdictRecord(decision=matcher)],
    }
    return record(number).model_copy(update={"verdicts": verdicts, "sample": number, "step": 0})


def batch(policy: Literal["exclude", "reject"]) -> list[ConversationRecord]:
    """Four conversations; the fourth has a missing verdict and no REJECT."""
    paid = RewardSettings(penalty=0.75, hard=False, thinking=False, missing_verdict=policy)
    rows = [
        judged(0, "OK", "OK", "OK"),
        judged(1, "OK", "OK", "REJECT"),
        judged(2, "REJECT", "REJECT", "REJECT"),
        judged(3, "OK", "OK", None),
    ]
    return [
        r.model_copy(update={"rewards": rewards(r, paid), "excluded": exclusion(r, paid)})
        for r in rows
    ]


@pytest.mark.parametrize(("policy", "left_out"), [("exclude", 0.25), ("reject", 0.0)])
def test_missing_verdicts_are_counted_whatever_becomes_of_them(
    policy: Literal["exclude", "reject"], left_out: float
) -> None:
    rows = batch(policy)
    found = rollout_metrics(rows)
    assert found["classroom/missing"] == 0.25
    assert found["classroom/excluded"] == left_out
    assert [r.rewards.get("pedagogy") for r in rows] == [
        0.0, -0.75, -0.75, None if policy == "exclude" else -0.75,
    ]  # fmt: skip


def test_agreement_of_matcher_and_model_and_of_a_models_attempts() -> None:
    found = rollout_metrics(batch("exclude"))
    # the fourth is undecided by the model: two of three agree
    assert found["judges_agree/does_not_leak_answer / matched"] == pytest.approx(2 / 3)
    own = "judges_agree/does_not_leak_answer (attempt) / does_not_leak_answer (another)"
    assert found[own] == pytest.approx(2 / 3)
    assert len([name for name in found if name.startswith("judges_agree/")]) == 2
    alone = [r.model_copy(update={"verdicts": {}}) for r in batch("exclude")]
    assert not any(name.startswith("judges_agree/") for name in rollout_metrics(alone))


def test_the_final_table_says_both(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    for row in batch("exclude"):
        writer.add(row.model_copy(update={"split": "train"}))
    writer.settle()
    out = io.StringIO()
    print_summary(tmp_path, Console(file=out, width=160))
    rows = {
        cells[1].strip(): cells[3].strip()
        for cells in (line.split("│") for line in out.getvalue().splitlines())
        if len(cells) > 3
    }
    assert rows["missing verdicts"] == "0.250" and rows["left out"] == "0.250"
    assert rows["judges agree: does_not_leak_answer / matched"] == "0.667"
