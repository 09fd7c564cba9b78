"""A sequence classifier with one output that scores chats: Ped-RM, or a reward model.

The score of a chat is the raw logit at its last token, in fp32.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from config.errors import ConfigError
from src.inference_providers.base import ChatMessage
from src.tokens.text_codec import TextCodec

_MARK = re.compile("\ue000(\\d+)\ue001")


class ChatClassifier:
    """A classifier with one output, ready to score chats."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        setting: str,
        kept: int = 1,
        batch_size: int = 8,
        max_length: int = 4096,
    ) -> None:
        """`max_length`: tokens of a chat; of longer ones the oldest messages are left out, but for
        the first `kept`.  `setting` is named in errors.
        """
        _check_outputs(model.config, setting)
        try:
            self._codec = TextCodec(tokenizer)
        except ValueError as error:
            raise ConfigError(f"{setting}: {error}") from None
        if not tokenizer.chat_template:
            raise ConfigError(f"{setting}: its tokenizer has no chat template")
        self._model, self._tokenizer = model.eval().float(), tokenizer
        self._batch_size, self._kept = batch_size, kept
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
        while len(ids) > self._max_length and len(kept) > self._kept + 1:
            del kept[self._kept]
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


def check_classifier(name: str, *, setting: str, hint: str = "") -> None:
    """Raises ConfigError if it cannot be had: said before hours of work, not after."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(_unavailable(name, setting, hint, error)) from None
    _check_outputs(config, setting)


def load_classifier(
    name: str, *, setting: str, hint: str = "", kept: int = 1, max_length: int = 4096
) -> ChatClassifier:
    """The classifier of this name or folder, in fp32, on a GPU where there is one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(_unavailable(name, setting, hint, error)) from None
    if loaded["missing_keys"]:
        missing = min(loaded["missing_keys"])
        raise ConfigError(f"{setting}: {name} is no classifier: it has no weights for {missing}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return ChatClassifier(
        model.to(device), tokenizer, setting=setting, kept=kept, max_length=max_length
    )


def _check_outputs(config: Any, setting: str) -> None:
    if config.num_labels != 1:
        raise ConfigError(
            f"{setting}: a score is one number, this classifier has {config.num_labels}"
        )


def _unavailable(name: str, setting: str, hint: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0]
    return f"{setting}: cannot load {name}: {reason}" + (f" ({hint})" if hint else "")
