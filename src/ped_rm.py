"""Ped-RM: a sequence classifier that scores how well each tutor turn scaffolds.

As the paper uses it (section 4): a system prompt that asks for scaffolding quality, the problem
with its reference solution as the user, what was said before with the tutor as the assistant, and
the turn to score as the last assistant message; the score is the raw logit at the last token, in
fp32.  Every tutor turn is scored given only what came before it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from config.errors import ConfigError
from src.inference_providers.base import ChatMessage
from src.text_codec import TextCodec
from utils.prompts import load_prompt
from utils.records import ConversationRecord

log = logging.getLogger(__name__)
SETTING = "pedagogical_reward_model"
SYSTEM_PROMPT = "prompt_templates/ped_rm/system.txt"
PROBLEM_PROMPT = "prompt_templates/ped_rm/problem.txt"
_HEAD = 2  # system and problem: never dropped from the left
_MARK = re.compile("\ue000(\\d+)\ue001")


def rated_turns(record: ConversationRecord) -> list[list[ChatMessage]]:
    """One chat for each tutor turn, ending with it; what the student saw, no hidden planning."""
    chat = opening(record.problem, str(record.extra.get("solution") or record.answer))
    chats = []
    for message in record.messages:
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


class PedRM:
    """A classifier with one output, ready to score chats."""

    def __init__(
        self, model: Any, tokenizer: Any, *, batch_size: int = 8, max_length: int = 4096
    ) -> None:
        """`max_length`: tokens of a chat; the oldest messages of longer ones are left out."""
        outputs = model.config.num_labels
        if outputs != 1:
            raise ConfigError(f"{SETTING}: a score is one number, this classifier has {outputs}")
        try:
            self._codec = TextCodec(tokenizer)
        except ValueError as error:
            raise ConfigError(f"{SETTING}: {error}") from None
        if not tokenizer.chat_template:
            raise ConfigError(f"{SETTING}: its tokenizer has no chat template")
        self._model, self._tokenizer = model.eval().float(), tokenizer
        self._batch_size = batch_size
        limit = getattr(model.config, "max_position_embeddings", None) or max_length
        self._max_length = min(max_length, limit)

    def score(self, chats: Sequence[Sequence[ChatMessage]]) -> list[float]:
        """The raw logit of each chat, in their order."""
        rows = [self.ids(chat) for chat in chats]
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
        scores = [0.0] * len(rows)
        for start in range(0, len(order), self._batch_size):
            part = order[start : start + self._batch_size]
            for index, value in zip(part, self._batch([rows[i] for i in part]), strict=True):
                scores[index] = value
        return scores

    def ids(self, chat: Sequence[ChatMessage]) -> list[int]:
        """Token ids of a chat, at most `max_length`: the oldest of what was said goes first."""
        kept = list(chat)
        ids = self._render(kept)
        while len(ids) > self._max_length and len(kept) > _HEAD + 1:
            del kept[_HEAD]
            ids = self._render(kept)
        return ids[-self._max_length :]

    def _render(self, chat: Sequence[ChatMessage]) -> list[int]:
        """The model's own template around messages that are never parsed for its markers."""
        marked = [{"role": m["role"], "content": f"\ue000{i}\ue001"} for i, m in enumerate(chat)]
        text: str = self._tokenizer.apply_chat_template(marked, tokenize=False)
        ids: list[int] = []
        for at, part in enumerate(_MARK.split(text)):
            if at % 2:
                ids += self._codec.encode(chat[int(part)]["content"])
            elif part:
                ids += self._codec.markup(part, after=at > 0)
        return ids

    def _batch(self, rows: Sequence[Sequence[int]]) -> list[float]:
        import torch

        # The classifier takes the last token that is not padding: pad with an id that no row ends
        # with, since the usual one may end them all.
        last = {row[-1] for row in rows}
        padding = next(i for i in range(self._model.config.vocab_size) if i not in last)
        self._model.config.pad_token_id = padding
        width = max(map(len, rows))
        device = self._model.device
        ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask.to(device)).logits
        return logits.float().squeeze(-1).tolist()


def check_ped_rm(name: str) -> None:
    """Raises ConfigError if the classifier cannot be had: said before hours of work, not after."""
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(_unavailable(name, error)) from None


def load_ped_rm(name: str) -> PedRM:
    """The classifier of this name or folder, in fp32, on a GPU where there is one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(_unavailable(name, error)) from None
    return PedRM(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)


def _unavailable(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0]
    return (
        f"{SETTING}: cannot load {name}: {reason} (score_using_pedagogical_reward=false does "
        "without it)"
    )


def score_records(scorer: PedRM, records: Sequence[ConversationRecord]) -> list[ConversationRecord]:
    """The same records in the same order, those that had no scores with one for each tutor turn."""
    chats = {i: rated_turns(r) for i, r in enumerate(records) if not r.ped_rm}
    scores = iter(scorer.score([chat for own in chats.values() for chat in own]))
    found = list(records)
    for index, own in chats.items():
        values = [next(scores) for _ in own]
        found[index] = records[index].model_copy(update={"ped_rm": values})
    return found
