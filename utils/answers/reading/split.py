"""Cuts an answer's cleaned text into its parts: at commas, "and", unions, outside all brackets."""

from __future__ import annotations

import re

from utils.answers.reading.numbers import in_words

_OPEN, _CLOSE = "([{⦃⟨", ")]}⦄⟩"
_AND = re.compile(
    r"\s*(?:⟨(?:and|or)⟩|\\(?:vee|lor)(?![a-z])|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*"
)
_IS = r"(?:[<>]|\\[lg]e(?![a-z]))"
_BOTH = re.compile(  # two bounds of one unknown
    rf"(?=.*{_IS}.*{_IS})(?<![A-Za-z\\])(?P<one>[A-Za-z])(?![A-Za-z])[^,;]*?"
    r"(?:(?<![A-Za-z\\])and(?![A-Za-z])|\\(?:wedge|land)(?![a-z]))[^,;]*"
    r"(?<![A-Za-z\\])(?P=one)(?![A-Za-z])"
)


def listed(text: str) -> list[str]:
    """The items of a list without brackets, of an "and"/"or", of a union; [] for a single one.

    x < 2 and x > 5 are no two answers: both must hold.
    """
    if _BOTH.search(text):
        return []
    for parts in (split(text, r"\cup"), split(text, ";"), split(text, ",")):
        if len(parts) > 1:
            parts = [_AND.sub("", p, count=1) if _AND.match(p) else p for p in parts]
            return [piece for p in parts for piece in _AND.split(p) if piece.strip()]
    if in_words(text.strip("⟨⟩ ")) is not None:  # one hundred and five
        return []
    parts = _AND.split(text)
    return parts if len(parts) > 1 and all(p.strip() for p in parts) else []


def split(text: str, separator: str) -> list[str]:
    """Parts between separators outside all brackets."""
    if separator not in text:
        return [text]
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif depth == 0 and character == separator[0] and text.startswith(separator, place):
            parts.append(text[start:place])
            start = place + len(separator)
    return [*parts, text[start:]]


def wrapped(text: str) -> bool:
    """Whether the first bracket closes at the very end."""
    if text[0] not in _OPEN or text[-1] not in _CLOSE:
        return False
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0:
            return place == len(text) - 1
    return False
