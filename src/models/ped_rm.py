"""Ped-RM: a sequence classifier that scores how well each tutor turn scaffolds.

As the paper uses it (section 4): a system prompt that asks for scaffolding quality, the problem
with its reference solution as the user, what was said before with the tutor as the assistant, and
the turn to score as the last assistant message; the score is the raw logit at the last token, in
fp32.  Every tutor turn is scored given only what came before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from src.inference_providers.base import ChatMessage
from src.models.classifier import ChatClassifier, check_classifier, load_classifier
from utils.prompts import load_prompt
from utils.records import ConversationRecord

SETTING = "pedagogical_reward_model"
SYSTEM_PROMPT = "prompt_templates/ped_rm/system.txt"
PROBLEM_PROMPT = "prompt_templates/ped_rm/problem.txt"
HINT = "score_using_pedagogical_reward=false does without it"


def rated_turns(record: ConversationRecord) -> list[list[ChatMessage]]:
    """One chat for each tutor turn that the student saw, ending with it; no hidden planning."""
    chat = opening(record.problem, str(record.extra.get("solution") or record.answer))
    chats = []
    for message in (m for m in record.messages if m.heard):
        tutor = message.role == "teacher"
        chat = [*chat, {"role": "assistant" if tutor else "user", "content": message.visible}]
        if tutor:
            chats.append(chat)
    return chats


def opening(problem: str, solution: str) -> list[ChatMessage]:
    """The system prompt, and the problem with its reference solution."""
    system, user = _prompts()
    return [
        {"role": "system", "content": system.render()},
        {"role": "user", "content": user.render(problem=problem, solution=solution)},
    ]


@lru_cache(maxsize=1)
def _prompts() -> tuple[Any, Any]:
    names = frozenset({"problem", "solution"})
    return tuple(
        load_prompt(path, setting=SETTING, variables=names)
        for path in (SYSTEM_PROMPT, PROBLEM_PROMPT)
    )  # type: ignore[return-value]


def check_ped_rm(name: str) -> None:
    """Raises ConfigError if the classifier cannot be had."""
    check_classifier(name, setting=SETTING, hint=HINT)


def load_ped_rm(name: str) -> ChatClassifier:
    """The classifier of this name or folder; the system prompt and the problem are always kept."""
    return load_classifier(name, setting=SETTING, hint=HINT, kept=2)


def score_records(
    scorer: ChatClassifier, records: Sequence[ConversationRecord]
) -> list[ConversationRecord]:
    """The same records in the same order, those that had no scores with one for each tutor turn."""
    chats = {i: rated_turns(r) for i, r in enumerate(records) if not r.ped_rm}
    scores = iter(scorer.score([chat for own in chats.values() for chat in own]))
    found = list(records)
    for index, own in chats.items():
        values = [next(scores) for _ in own]
        found[index] = records[index].model_copy(update={"ped_rm": values})
    return found
