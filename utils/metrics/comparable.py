"""Which numbers of a run can stand beside published ones, and what is said of the others."""

from __future__ import annotations

from collections.abc import Sequence

from utils.records import ConversationRecord

HUMAN_TURN = "human_turn"
PROMPTS = "benchmark_prompts"  # whose texts an item was asked with: OWN_PROMPTS, or a benchmark's
OWN_PROMPTS = "own"
WITH_REFERENCE = "+reference"  # ends `ped_rm_prompt` where the classifier saw a solution

#: SHA-256 of the system text that Ped-RM was trained and published with (the text is in
#: eth-lre/PedagogicalRL, utils/pedagogical_reward.py, and in eth-lre/mathtutorbench).
PUBLISHED_TEXT = "9cffd9bc111f99896b7ddc2c95c76f08fc4da92888eb65e15fbc8b9583c68d15"
_WHERE = "docs/evaluation.md says where its own text is"


def ped_rm_note(records: Sequence[ConversationRecord]) -> str | None:
    """Why these Ped-RM scores are not the published quantity; None where they are, or are none."""
    reasons = sorted({reason for r in records if r.ped_rm and (reason := _departure(r))})
    if not reasons:
        return None
    return f"Ped-RM: not comparable with published scores: {'; '.join(reasons)} ({_WHERE})"


def _departure(record: ConversationRecord) -> str:
    """How the classifier was told something else than in the paper's or the benchmark's code."""
    text, reference, _ = record.ped_rm_prompt.partition(WITH_REFERENCE)
    if text != PUBLISHED_TEXT:
        return "the system text is not the model's own"
    if bool(reference) != (HUMAN_TURN in record.extra):
        return "it saw the solution" if reference else "it did not see the reference solution"
    return ""


def benchmark_note(records: Sequence[ConversationRecord]) -> str | None:
    """Why a benchmark's numbers are not its leaderboard's; None where they are, or are none."""
    if not any(r.extra.get(PROMPTS) == OWN_PROMPTS for r in records):
        return None
    return (
        "MathTutorBench: not comparable with its leaderboard: the prompts are our own "
        "(eval.mathtutorbench_path=CHECKOUT takes the benchmark's)"
    )


def notes(records: Sequence[ConversationRecord]) -> list[str]:
    """What a reader of these numbers should know, a line each."""
    return [note for note in (ped_rm_note(records), benchmark_note(records)) if note]
