"""Scores that stand beside no published ones say so: in metrics.json and in the table."""

from __future__ import annotations

import hashlib
from io import StringIO

import pytest
from rich.console import Console

from utils.metrics.comparable import PUBLISHED_TEXT, benchmark_note, notes, ped_rm_note
from utils.metrics.results import results
from utils.records import ConversationRecord
from utils.report.terminal import print_metrics


def scored(prompt: str, **extra: str) -> ConversationRecord:
    return ConversationRecord(
        problem_id="1",
        problem="p",
        answer="4",
        messages=[{"role": "teacher", "content": "Hm?", "visible": "Hm?"}],  # type: ignore[list-item]
        ped_rm=[0.5],
        ped_rm_prompt=prompt,
        extra=extra,
    )


@pytest.mark.parametrize(
    ("prompt", "extra", "reason"),
    [
        (PUBLISHED_TEXT, {}, None),
        (f"{PUBLISHED_TEXT}+reference", {"human_turn": "h"}, None),
        (f"{PUBLISHED_TEXT}+reference", {}, "it saw the solution"),
        (PUBLISHED_TEXT, {"human_turn": "h"}, "it did not see the reference solution"),
        (hashlib.sha256(b"ours").hexdigest(), {}, "the system text is not the model's own"),
        ("", {}, "the system text is not the model's own"),  # a record of an earlier version
    ],
)
def test_what_the_classifier_was_told(prompt: str, extra: dict[str, str], reason: str) -> None:
    note = ped_rm_note([scored(prompt, **extra)])
    if reason is None:
        assert note is None
    else:
        assert note is not None and f"not comparable with published scores: {reason}" in note


def test_without_scores_there_is_nothing_to_say() -> None:
    plain = ConversationRecord(problem_id="1", problem="p", answer="4")
    assert notes([plain]) == [] and notes([]) == []
    assert "comparable" not in results([plain])["ped_rm_micro"]


def test_metrics_and_table_carry_the_mark() -> None:
    ours, theirs = results([scored("ours")]), results([scored(PUBLISHED_TEXT)])
    assert ours["ped_rm_micro"]["comparable"] is False and len(ours["notes"]) == 1
    assert "comparable" not in theirs["ped_rm_macro"] and theirs["notes"] == []
    shown = StringIO()
    print_metrics(ours, "t", Console(file=shown, width=200))
    assert "ped_rm_micro *" in shown.getvalue()
    assert "* Ped-RM: not comparable with published scores" in shown.getvalue()
    clean = StringIO()
    print_metrics(theirs, "t", Console(file=clean, width=200))
    assert "*" not in clean.getvalue()


def test_a_benchmark_in_our_own_words_says_so() -> None:
    asked = scored(f"{PUBLISHED_TEXT}+reference", human_turn="h", benchmark_prompts="own")
    assert "not comparable with its leaderboard" in (benchmark_note([asked]) or "")
    theirs = scored("", human_turn="h", benchmark_prompts="mathtutorbench")
    assert benchmark_note([theirs]) is None
