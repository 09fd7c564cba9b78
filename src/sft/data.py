"""The training and held-out sets of a fine-tuning run, as token columns; bad rows found first."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from config.schema import GenerationSettings, TrainSFTConfig
from src.sft.rows import ConversationTokenizer, chat_columns, pair_columns
from src.tokens.chat_template import ChatRenderer
from utils.data.load import load_conversations
from utils.data.sft.chat_rows import MESSAGES, PAIR, read_chat, read_pair
from utils.prompts import load_prompt
from utils.runs.folder import is_lead

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sets:
    """Rows to train on, and rows held out (None: no evaluation)."""

    train: Dataset
    held_out: Dataset | None


def load_sets(cfg: TrainSFTConfig, tokenizer: Any) -> Sets:
    """Read, check and tokenise every row.  Raises ConfigError naming setting, file and row."""
    renderer = ChatRenderer(tokenizer, model_name="model.model_name_or_path")
    for note in renderer.notes:
        log.info("%s: %s", cfg.model.model_name_or_path, note)
    tokenize = ConversationTokenizer(renderer, default_opening())
    train = _load(cfg, tokenize, "train", cfg.dataset.max_train_examples)
    held_out = None
    if cfg.dataset.eval_datasets:
        held_out = _load(cfg, tokenize, "eval", cfg.dataset.max_val_examples)
        known = {hash(str(row)) for row in train}
        shared = sum(hash(str(row)) in known for row in held_out)
        if shared and is_lead():
            log.warning(
                "dataset.eval_datasets: %d of %d held-out rows are trained on too",
                shared, len(held_out),
            )  # fmt: skip
    return Sets(train, held_out)


def default_opening() -> str:
    """What the user says where a template demands a user first, and a row does not know better."""
    prompt = load_prompt(
        GenerationSettings().tutor_opening_prompt_path,
        setting="generation.tutor_opening_prompt_path",
        variables=frozenset({"problem", "student_name"}),
    )
    return prompt.render(problem="", student_name=None)


def _load(cfg: TrainSFTConfig, tokenize: ConversationTokenizer, which: str, limit: int) -> Dataset:
    setting, longest = f"dataset.{which}_datasets", cfg.model.max_length

    def read(row: Mapping[str, Any], where: str) -> dict[str, Any]:
        if cfg.train.method == "mdpo":
            return pair_columns(tokenize, read_pair(row), longest)
        return chat_columns(tokenize, read_chat(row), longest)

    rows = load_conversations(
        cfg.dataset.train_datasets if which == "train" else cfg.dataset.eval_datasets,
        read,
        seed=cfg.seed,
        limit=limit,
        setting=setting,
        needed=PAIR if cfg.train.method == "mdpo" else MESSAGES,
        bad_rows=cfg.dataset.bad_rows,
    )
    return Dataset.from_list(rows)
