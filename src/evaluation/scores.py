"""Ped-RM scores of a record: of every tutor turn, or of a generated turn and the human's."""

from __future__ import annotations

from collections.abc import Sequence

from src.inference_providers.base import ChatMessage
from src.models.classifier import ChatClassifier
from src.models.ped_rm import RatingPrompt, rated_turns, score_records
from utils.metrics.benchmark_metrics import HUMAN_SCORE
from utils.metrics.comparable import HUMAN_TURN
from utils.records import ConversationRecord


def score_all(
    scorer: ChatClassifier, records: Sequence[ConversationRecord], prompt: RatingPrompt
) -> list[ConversationRecord]:
    """Ped-RM scores of every tutor turn; of a benchmark's, of the generated and the human turn."""
    compared = {
        i: r
        for i, r in enumerate(records)
        if HUMAN_TURN in r.extra and not r.ped_rm and r.error is None
    }
    found = score_records(scorer, [r for r in records if HUMAN_TURN not in r.extra], prompt)
    rest = iter(found)
    pairs: list[list[ChatMessage]] = []
    for record in compared.values():
        ours = rated_turns(record, prompt)[-1]
        human: ChatMessage = {"role": "assistant", "content": str(record.extra[HUMAN_TURN])}
        pairs += [ours, [*ours[:-1], human]]
    scores = scorer.score(pairs)
    out: list[ConversationRecord] = []
    for index, record in enumerate(records):
        if index in compared:
            own, human_score, *scores = scores
            extra = dict(record.extra) | {HUMAN_SCORE: human_score}
            update = {"ped_rm": [own], "ped_rm_prompt": prompt.key, "extra": extra}
            out.append(record.model_copy(update=update))
        else:
            out.append(record if HUMAN_TURN in record.extra else next(rest))
    return out
