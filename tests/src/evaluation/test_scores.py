"""Ped-RM scores of a benchmark's turns, beside the human's."""

from __future__ import annotations

import pytest

from src.evaluation.scores import score_all
from src.models.ped_rm import RatingPrompt
from utils.metrics.benchmark_metrics import benchmark_metrics
from utils.records import ConversationRecord

PROMPT = RatingPrompt(system="s", shows_solution=True)


class Lengths:
    """A scorer that likes long last messages."""

    def score(self, chats: list[list[dict[str, str]]]) -> list[float]:
        return [float(len(chat[-1]["content"])) for chat in chats]


def scaffolded(number: int, ours: str, human: str) -> ConversationRecord:
    item_path_free = {"human_turn": human}
    return ConversationRecord(
        problem_id=str(number),
        problem="p",
        answer="4",
        source="scaffolding",
        extra=item_path_free,
        messages=[
            {"role": "student", "content": "s", "visible": "s"},
            {"role": "teacher", "content": ours, "visible": ours},
        ],  # type: ignore[list-item]
    )


def test_win_rate_compares_with_the_human_turn() -> None:
    rows = [scaffolded(0, "longer", "short"), scaffolded(1, "a", "bb"), scaffolded(2, "eq", "ui")]
    scored = score_all(Lengths(), rows, PROMPT)  # type: ignore[arg-type]
    assert [r.ped_rm for r in scored] == [[6.0], [1.0], [2.0]]
    assert [r.extra["human_ped_rm"] for r in scored] == [5.0, 2.0, 2.0]
    assert benchmark_metrics(scored)["win_rate"]["mean"] == pytest.approx(1 / 3)
    assert score_all(Lengths(), scored, PROMPT) == scored  # type: ignore[arg-type]


def test_a_turn_that_was_never_written_is_not_scored() -> None:
    failed = scaffolded(0, "x", "y").model_copy(update={"error": "gave up", "messages": []})
    history = scaffolded(1, "the human's own earlier turn", "y").model_copy(
        update={"error": "gave up"}
    )
    scored = score_all(Lengths(), [failed, history], PROMPT)  # type: ignore[arg-type]
    assert all(not r.ped_rm and "human_ped_rm" not in r.extra for r in scored)
