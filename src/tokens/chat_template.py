"""Conversations to token ids through a model's own chat template, and on from sampled tokens.

The template is rendered with placeholders for the messages; its own text between them is
tokenised once per sequence of roles, and messages are put in as ids that are never parsed.  What
follows a sampled turn is the suffix of a dummy conversation, so that a ledger of sampled tokens
only ever grows.  What a family does not allow gives way at construction, and is said in `notes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from config.errors import ConfigError
from src.inference_providers.base import ChatMessage
from src.tokens.template import WORDS, Refused, Template
from src.tokens.template_family import Family, probe
from src.tokens.text_codec import TextCodec

_LETTERS = {word: letter for letter, word in WORDS.items()}
_SWITCHES = ("thinking", "reasoning")  # beside enable_thinking, which is off wherever it is
_JOINT = "\n\n"  # between texts that have to share one message


class UnsupportedTemplate(ConfigError):
    """A model's chat template cannot carry the conversations asked of it."""


class _Piece(NamedTuple):
    """What the template writes before a message, or after the last one.

    A space before a message belongs to its first word, for a tokenizer: it goes with the message.
    """

    ids: tuple[int, ...]
    space: str = ""
    continues: bool = False  # the message goes on within a line


def _unthinking(tokenizer: Any, source: str, options: Mapping[str, Any]) -> tuple[Template, Family]:
    """The template with its thinking off, where it begins every turn with it and has a switch."""
    template, tokens = Template(tokenizer, options), tokenizer.get_added_vocab()
    family = probe(template, source, tokens)
    for switch in _SWITCHES:
        if family.opening and switch not in options and re.search(rf"\b{switch}\b", source):
            other = Template(tokenizer, {**options, switch: False})
            found = probe(other, source, tokens)
            if not found.opening:
                return other, found
    return template, family


class ChatRenderer:
    """One model's conversations as token ids; safe for concurrent use once built.

    notes: what gives way for this family, a line each.
    stop_token_ids: what ends an assistant's turn.
    needs_user_first: prompts must hold a user message before any assistant's, and at least one.
    thinking: what of the model's text is hidden from the others.
    opening: thinking that the generation prompt leaves open, such as `<think>`; a turn reads as
        opening + sampled text.  Empty for nearly all families.
    tail: what the template writes between a turn's words and its end token; in a ledger it stands
        where the model wrote it.  Empty for nearly all families.
    thought_end: what ends that thinking where an answer has to come without one.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        model_name: str,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        extra_stop_ids: Sequence[int] = (),
    ) -> None:
        """Probe a transformers fast tokenizer's template; raises UnsupportedTemplate.

        `model_name` begins every error: the setting that names the model.  `chat_template_kwargs`
        are the template's variables; where it can switch thinking off, it does unless they say
        otherwise.  `extra_stop_ids`: more end tokens, such as a generation config's.
        """
        self._model_name = model_name
        source = str(getattr(tokenizer, "chat_template", None) or "")
        if not source:
            raise self._unsupported("is missing: take a model tuned for chat")
        options = {"enable_thinking": False} if "enable_thinking" in source else {}
        options |= dict(chat_template_kwargs or {})
        try:
            self.codec = TextCodec(tokenizer)
            self._template, self.family = _unthinking(tokenizer, source, options)
            self._closing = self._piece(self.family.closing, after=True)
            self.stop_token_ids = self._find_stops(tokenizer.eos_token_id, extra_stop_ids)
            self._refuse_broken_thoughts()
        except (Refused, ValueError) as error:
            raise self._unsupported(str(error)) from error
        self.notes = list(self.family.notes)
        self.tail = self._find_tail()
        self.needs_user_first, self.thinking = self.family.user_first, self.family.thinking
        self.opening, self.thought_end = self.family.opening, self.family.thought_end
        self._shapes: dict[str, list[_Piece]] = {}
        self._request = self._shape(("s" if self.family.own_system else "") + "uau")[-1].ids

    def prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Ids of a whole conversation and the opening of the assistant's next turn.

        The last message is the system's or the user's.  Raises UnsupportedTemplate for a
        sequence of roles that the family does not know.
        """
        roles, texts = self._arranged(messages)
        pieces = self._shape(roles)
        out: list[int] = []
        for piece, text in zip(pieces, texts, strict=False):
            out += piece.ids
            out += self.codec.encode(piece.space + text, continues=piece.continues)
        return out + list(pieces[-1].ids)

    def reply(self, text: str, last_ids: Sequence[int]) -> list[int]:
        """Ids to append after a sampled assistant's turn: its end, the user's `text`, the next
        opening.

        `last_ids` is that turn as sampled; an end that the model wrote itself is not repeated.
        """
        closed = self._closed.get(last_ids[-1], 0) if len(last_ids) else 0
        ids, space, continues = self._closing
        return [
            *ids[closed:],
            *self.codec.encode(space + text, continues=continues),
            *self._request,
        ]

    def encode(self, text: str) -> list[int]:
        """Ids of text that somebody wrote; no marker of the chat format is ever among them."""
        return list(self.codec.encode(text))

    def markup(self, text: str) -> list[int]:
        """Ids of our own text, markers parsed: to prefill `<think>`, never for messages."""
        return list(self.codec.markup(text, after=True))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of sampled ids as written, without the end of the turn."""
        said = (i for i in ids if i not in self.stop_token_ids)
        return self.codec.decode(said, keep_special=True)

    def _find_stops(self, eos: int | None, extra: Sequence[int]) -> tuple[int, ...]:
        """The tokens that end a turn; notes how much of the closing each has already written."""
        added = self.codec.added_ids
        end = next((i for i in self._closing.ids if i in added), None)
        if end is None:
            raise Refused(f"ends a turn by plain text, no token: {self.family.closing!r}")
        final = self.codec.markup(self.family.ending, after=True)
        last = next((i for i in final if i in added), end)
        candidates = (end, last, eos, *extra)
        stops = tuple(dict.fromkeys(i for i in candidates if i is not None))
        closing = self._closing.ids
        place = {i: closing.index(i) + 1 for i in stops if i in closing}
        self._closed = {last: place[end]} | place
        return stops

    def _find_tail(self) -> str:
        closing = self._closing.ids
        before = closing[: next(n for n, i in enumerate(closing) if i in self.codec.added_ids)]
        tail = self.codec.decode(before)
        if tail:
            self.notes.append(f"the history ends a turn with {tail!r}; the ledger as it was said")
        return tail

    def _refuse_broken_thoughts(self) -> None:
        """A turn that ends with its thinking would leave nothing for the others."""
        ends = set(self.codec.markup(self.family.thought_end)) & set(self.stop_token_ids)
        if ends and not self.family.prefill:
            token = self.codec.decode(ends, keep_special=True)
            raise Refused(f"ends a thought by {token}, which ends the turn as well")

    def _arranged(self, messages: Sequence[ChatMessage]) -> tuple[str, list[str]]:
        roles, folded = "", False
        texts: list[str] = []
        for message in messages:
            role, text = _LETTERS[message["role"]], message["content"]
            fold = role == "s" and not self.family.own_system
            role = "u" if fold else role
            if role == roles[-1:] and (self.family.joins or folded):
                texts[-1] += _JOINT + text
            else:
                roles, texts = roles + role, [*texts, text]
            folded = fold
        if roles[-1:] not in ("s", "u"):
            raise ValueError(f"a prompt ends with the system's or the user's message: {roles!r}")
        return roles, texts

    def _shape(self, roles: str) -> list[_Piece]:
        """The template's pieces around messages of these roles, to the assistant's opening."""
        if roles not in self._shapes:
            try:
                texts = self._template.pieces(roles)
                if not texts[-1].endswith(self.family.header):
                    raise Refused("it opens no assistant's turn")
            except Refused as error:
                words = "-".join(WORDS[r] for r in roles)
                raise self._unsupported(f"cannot render {words}: {error}") from error
            last = self.codec.markup(texts[-1] + self.family.prefill, after=True, before=True)
            pieces = [self._piece(t, after=i > 0) for i, t in enumerate(texts[:-1])]
            self._shapes[roles] = [*pieces, _Piece(last)]
        return self._shapes[roles]

    def _piece(self, text: str, *, after: bool) -> _Piece:
        space = " " if text.endswith(" ") else ""
        ids = self.codec.markup(text.removesuffix(" "), after=after, before=not space)
        return _Piece(ids, space, bool(ids) and ids[-1] not in self.codec.added_ids)

    def _unsupported(self, reason: str) -> UnsupportedTemplate:
        return UnsupportedTemplate(f"{self._model_name}: its chat template {reason}")
