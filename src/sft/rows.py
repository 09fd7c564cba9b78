"""A written conversation as the tutor's token ledger: ids, and 1 where the tutor speaks.

The ids are those the classroom would have given the tutor, by the same renderer, turn by turn: a
tutor trained here continues what it meets there.  Only the tutor's words and the end of its turns
are marked; the student's words, the prompt and all markup are not, whatever a message says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from src.inference_providers.base import ChatMessage
from src.tokens.chat_template import ChatRenderer
from utils.data.rows.bad_rows import BadRow
from utils.data.sft.chat_rows import ChatRow, PairRow

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """`ids` and `mask` have one length; mask 1: the tutor's own."""

    ids: list[int]
    mask: list[int]

    @property
    def labels(self) -> list[int]:
        """Ids where the mask is 1, and -100 (ignored by the loss) elsewhere."""
        return [i if m else -100 for i, m in zip(self.ids, self.mask, strict=True)]


class ConversationTokenizer:
    """Written conversations to tokens, for one model.

    default_opening: what the user says first where the template demands a user and a row has none.
    """

    def __init__(self, renderer: ChatRenderer, default_opening: str) -> None:
        self.renderer, self._opening = renderer, default_opening
        self._end = self._end_of_turn()

    def __call__(self, messages: Messages, opening: str = "") -> Tokens:
        """A checked conversation (utils/data/sft/chat_rows.py), first message to last."""
        first = next(i for i, message in enumerate(messages) if message["role"] == "assistant")
        head = list(messages[:first])
        no_user = all(message["role"] != "user" for message in head)
        if not head or (no_user and self.renderer.needs_user_first):
            head.append({"role": "user", "content": opening or self._opening})
        tokens = Tokens(self.renderer.prompt(cast(list[ChatMessage], head)), [])
        tokens.mask.extend([0] * len(tokens.ids))
        waiting: list[str] = []
        for message in messages[first:]:
            if message["role"] == "user":
                waiting.append(message["content"])
                continue
            if waiting:
                self._add(tokens, self.renderer.reply("\n\n".join(waiting), self._end), 0)
                waiting = []
            self._add(tokens, self._turn(message["content"]), 1)
        return tokens

    def pair(self, row: PairRow) -> dict[str, list[int]]:
        """Columns of a preference row: ids of the common prompt, ids and masks of both sides."""
        sides = {
            "chosen": self((*row.prompt, *row.chosen), row.opening),
            "rejected": self((*row.prompt, *row.rejected), row.opening),
        }
        common = sides["chosen"].mask.index(1)
        columns = {"prompt_ids": sides["chosen"].ids[:common]}
        for name, tokens in sides.items():
            columns[f"{name}_ids"] = tokens.ids[common:]
            columns[f"{name}_mask"] = tokens.mask[common:]
        return columns

    def _end_of_turn(self) -> list[int]:
        """What the tutor samples when it is done: the end token of a last turn (some families
        write another one in the history), with what the template writes before it."""
        renderer = self.renderer
        ending = renderer.codec.markup(renderer.family.ending, after=True)
        for place, token in enumerate(ending):
            if token in renderer.codec.added_ids:
                return list(ending[: place + 1])
        return [renderer.stop_token_ids[0]]

    def _turn(self, text: str) -> list[int]:
        """What the tutor would have sampled: its words after what the template opened for it."""
        opening, unthought = self.renderer.opening, list[int]()
        if opening:
            unopened = text.removeprefix(opening.strip())
            if unopened == text:
                unthought = self.renderer.markup(self.renderer.thought_end)
            text = unopened.lstrip()
        return [*unthought, *self.renderer.encode(text), *self._end]

    @staticmethod
    def _add(tokens: Tokens, ids: Sequence[int], mask: int) -> None:
        tokens.ids.extend(ids)
        tokens.mask.extend([mask] * len(ids))


def chat_columns(tokenizer: ConversationTokenizer, row: ChatRow, max_length: int) -> dict[str, Any]:
    """The columns that TRL's SFTTrainer takes as they are.  BadRow if over-long."""
    tokens = tokenizer(row.messages, row.opening)
    _refuse_over_long(len(tokens.ids), max_length)
    return {"input_ids": tokens.ids, "labels": tokens.labels, "length": len(tokens.ids)}


def pair_columns(tokenizer: ConversationTokenizer, row: PairRow, max_length: int) -> dict[str, Any]:
    """The columns of a preference row.  BadRow if one side is over-long."""
    columns = tokenizer.pair(row)
    longer = max(len(columns["chosen_ids"]), len(columns["rejected_ids"]))
    length = len(columns["prompt_ids"]) + longer
    _refuse_over_long(length, max_length)
    return columns | {"length": length}


def _refuse_over_long(length: int, max_length: int) -> None:
    if length > max_length:
        raise BadRow("over-long", f"{length} tokens are more than model.max_length={max_length}")
