"""Text to token ids and back, so that what a text says is never obeyed.

A tokenizer parses the markers of its chat format wherever it meets them; whoever may write one
into a message can then end a turn, or speak as somebody else.  Here a message goes through a
private copy that knows no markers, and only the template's own text through one that does.
Nothing is toggled after construction, so both copies serve any number of threads.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, models

from utils.whole_text import whole_text

_ANCHORS = ("x", "7", ".", "\u4e2d")  # text to stand where a message will
_CACHED_TEXTS = 4096


class TextCodec:
    """Encodes message text (never parsed) and template text (parsed) with one vocabulary.

    `continues` says that the text goes on within a line, after other text: vocabularies that
    mark the first word of a line then leave the mark out.
    """

    def __init__(self, tokenizer: Any) -> None:
        """From a transformers fast tokenizer; ValueError where one cannot be made safe."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ValueError("it has no fast tokenizer (tokenizer.json)")
        added = dict(sorted(backend.get_added_tokens_decoder().items()))
        self._markers = {token.content: i for i, token in added.items() if _is_marker(token)}
        self.added_ids = frozenset(self._markers.values())
        self._parsing = _copy(backend, list(added.values()))
        spaces = [t for token in added.values() if (t := _unmarked(backend, token))]
        self._plain = {c: _copy(backend, spaces, continues=c) for c in (False, True)}
        self._forbidden = self.added_ids - {_unknown_id(self._plain[True])}
        self._cached = lru_cache(_CACHED_TEXTS)(self._encode)
        self._refuse_unwritable()

    def encode(self, text: str, *, continues: bool = True) -> tuple[int, ...]:
        """Ids of a message; no marker of the chat format is ever among them."""
        return self._cached(text, continues)

    def markup(self, text: str, *, after: bool = False, before: bool = False) -> tuple[int, ...]:
        """Ids of text that we wrote ourselves, its markers parsed.

        `after` and `before`: it stands after, or before, a message on the same line, which may
        decide how its own ends are cut.
        """
        for anchor in _ANCHORS:
            left, right = anchor * after, anchor * before
            found = self._parsing.encode(left + text + right, add_special_tokens=False)
            low, high = len(left), len(left) + len(text)
            inside = [low <= s and e <= high for s, e in found.offsets]
            if all(
                i or e <= low or s >= high for i, (s, e) in zip(inside, found.offsets, strict=True)
            ):
                return tuple(token for token, i in zip(found.ids, inside, strict=True) if i)
        return tuple(self._parsing.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int], *, keep_special: bool = False) -> str:
        """Text of the ids; special tokens are left out unless `keep_special`."""
        return self._parsing.decode(list(ids), skip_special_tokens=not keep_special)

    def _encode(self, text: str, continues: bool) -> tuple[int, ...]:
        try:
            encoding = self._plain[continues].encode(text, add_special_tokens=False)
        except TypeError:  # half a surrogate pair is not text that can be encoded
            encoding = self._plain[continues].encode(whole_text(text), add_special_tokens=False)
        if self._forbidden.isdisjoint(encoding.ids):
            return tuple(encoding.ids)
        return self._spelled(text, continues, encoding)

    def _spelled(self, text: str, continues: bool, encoding: Any) -> tuple[int, ...]:
        """Some vocabularies hold a marker as an ordinary word too: cut it in two."""
        at = next(i for i, token in enumerate(encoding.ids) if token in self._forbidden)
        start, end = encoding.offsets[at]
        cut = start + 1 if end - start > 1 else (start or end)
        if not 0 < cut < len(text):
            raise ValueError(f"{text!r} exists only as a marker of its chat format")
        return self._encode(text[:cut], continues) + self._encode(text[cut:], True)

    def _refuse_unwritable(self) -> None:
        for content in self._markers:
            self._encode(content, True)


def _is_marker(token: AddedToken) -> bool:
    """Runs of spaces and line ends are added to some vocabularies; they can forge nothing."""
    return bool(token.special or token.content.replace("\u2581", " ").strip())


def _unmarked(backend: Tokenizer, token: AddedToken) -> AddedToken | None:
    """What stands for an added token where nothing is parsed: a name that nobody can guess.

    It only keeps the ids of those after it; a marker that the vocabulary itself holds needs none.
    """
    if not _is_marker(token):
        return token
    if backend.model.token_to_id(token.content) is not None:
        return None
    return AddedToken(secrets.token_hex(16), normalized=False)


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id for what the vocabulary cannot write; it forges nothing, whatever its name."""
    if isinstance(tokenizer.model, models.Unigram):
        return next(iter(tokenizer.encode("\uffff", add_special_tokens=False).ids), None)
    name = getattr(tokenizer.model, "unk_token", None)
    return None if name is None else tokenizer.model.token_to_id(name)


def _copy(
    backend: Tokenizer, added: list[AddedToken], *, continues: bool | None = None
) -> Tokenizer:
    """A tokenizer of its own over the same vocabulary, which is shared and never changes.

    `continues` None: as the original cuts; else for messages, see `_unprefixed`.
    """
    parts = Tokenizer(models.BPE())
    parts.normalizer, parts.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    if continues is not None:
        spec = json.loads(parts.to_str())
        spec |= {k: _unprefixed(spec[k], continues) for k in ("normalizer", "pre_tokenizer")}
        parts = Tokenizer.from_str(json.dumps(spec))
    copy = Tokenizer(backend.model)
    copy.normalizer, copy.pre_tokenizer = parts.normalizer, parts.pre_tokenizer
    copy.decoder = backend.decoder
    copy.encode_special_tokens = continues is not None
    copy.add_tokens(added)
    wanted = {t.content: backend.token_to_id(t.content) for t in added}
    if any(i is not None and i != copy.token_to_id(content) for content, i in wanted.items()):
        raise ValueError("the ids of its added tokens do not follow its vocabulary's")
    return copy


def _unprefixed(part: dict[str, Any] | None, continues: bool) -> dict[str, Any] | None:
    """The part without the mark for a first word: of the line, or (always) of the whole text."""
    if part is None or (continues and part["type"] == "Prepend"):
        return None
    part = dict(part)
    for key in ("normalizers", "pretokenizers"):
        if key in part:
            kept = (_unprefixed(p, continues) for p in part[key])
            part[key] = [p for p in kept if p is not None]
    if part["type"] == "Metaspace" and (continues or part.get("prepend_scheme") == "first"):
        part["prepend_scheme"] = "never"
    if part["type"] == "ByteLevel" and continues:
        part["add_prefix_space"] = False
    return part
