"""Ped-RM: a sequence classifier that scores how well each tutor turn scaffolds.

For a classifier the prompt is part of the model.  It reads (section 4, and the paper's code): a
system text, the problem with a reference solution as the user, what was said before with the tutor
as the assistant, and the turn to score as the last assistant message; the score is the raw logit at
the last token, in fp32.  In conversations the paper leaves the reference solution empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from config.errors import ConfigError
from config.schema import PED_RM_PROMPT, EvalConfig
from src.inference_providers.base import ChatMessage
from src.models.classifier import ChatClassifier, check_classifier, load_classifier
from utils.metrics.comparable import WITH_REFERENCE
from utils.prompts import read_text
from utils.records import ConversationRecord
from utils.sessions import talks

SETTING = "pedagogical_reward_model"
PROMPT_SETTING = "pedagogical_reward_prompt_path"
HINT = "score_using_pedagogical_reward=false does without it"
BENCHMARKS_TEXT = "reward_model/compute_scaffolding_score.py:SYSTEM_PROMPT"  # in its checkout


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingPrompt:
    """What the classifier is told before a conversation."""

    system: str
    shows_solution: bool = False

    @property
    def key(self) -> str:
        """What a record keeps of it: scores under different keys are no comparison."""
        digest = hashlib.sha256(self.system.encode()).hexdigest()
        return digest + (WITH_REFERENCE if self.shows_solution else "")

    def opening(self, problem: str, solution: str) -> list[ChatMessage]:
        """The system text, and the problem with its reference solution, or an empty one."""
        given = solution if self.shows_solution else ""
        # the format that the model was trained on, to the last space: no template strips it
        asked = f"Problem: {problem}\nReference Solution: {given}"
        return [{"role": "system", "content": self.system}, {"role": "user", "content": asked}]


def rating_prompt(cfg: EvalConfig) -> RatingPrompt:
    """What the settings say; a benchmark's items come with a reference.  Raises ConfigError."""
    path, shows = cfg.pedagogical_reward_prompt_path, cfg.pedagogical_reward_sees_solution
    setting = PROMPT_SETTING
    if cfg.eval.task == "mathtutorbench":
        shows = True
        if cfg.eval.mathtutorbench_path and path == PED_RM_PROMPT:
            path = f"{cfg.eval.mathtutorbench_path}/{BENCHMARKS_TEXT}"
            setting = "eval.mathtutorbench_path"
    system = read_text(path, setting).strip()
    if not system:
        raise ConfigError(f"{setting}: {path} is empty")
    return RatingPrompt(system=system, shows_solution=shows)


def rated_turns(record: ConversationRecord, prompt: RatingPrompt) -> list[list[ChatMessage]]:
    """One chat for each tutor turn that the student saw, ending with it; no hidden planning.

    Of a session each problem is a chat by itself.
    """
    return [chat for talk in talks(record) for chat in _rated_turns(talk, prompt)]


def _rated_turns(record: ConversationRecord, prompt: RatingPrompt) -> list[list[ChatMessage]]:
    chat = prompt.opening(record.problem, str(record.extra.get("solution") or record.answer))
    chats = []
    for message in (m for m in record.messages if m.heard):
        tutor = message.role == "teacher"
        chat = [*chat, {"role": "assistant" if tutor else "user", "content": message.visible}]
        if tutor:
            chats.append(chat)
    return chats


def check_ped_rm(cfg: EvalConfig) -> None:
    """Raises ConfigError if the classifier, or what it is told, cannot be had."""
    rating_prompt(cfg)
    check_classifier(cfg.pedagogical_reward_model, setting=SETTING, hint=HINT)


def load_ped_rm(name: str) -> ChatClassifier:
    """The classifier of this name or folder; the system text and the problem are always kept."""
    return load_classifier(name, setting=SETTING, hint=HINT, kept=2)


def score_records(
    scorer: ChatClassifier, records: Sequence[ConversationRecord], prompt: RatingPrompt
) -> list[ConversationRecord]:
    """The same records in the same order, those that had no scores with one for each tutor turn."""
    chats = {i: rated_turns(r, prompt) for i, r in enumerate(records) if not r.ped_rm}
    scores = iter(scorer.score([chat for own in chats.values() for chat in own]))
    found = list(records)
    for index, own in chats.items():
        values = {"ped_rm": [next(scores) for _ in own], "ped_rm_prompt": prompt.key}
        found[index] = records[index].model_copy(update=values)
    return found
