"""The transcript that a judge reads, written so that no message can pretend to be another one.

Two forms.  Engines of ours get prompts as ids that no marker can enter, so text stays as it is,
with its mathematics: each line of a message begins with a mark.  A hosted model's server reads
markers in text, so there each message is a JSON string with everything escaped that a template or
a fence is made of.
"""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

QUOTE = "> "
QUOTED_NOTE = "(Each message stands below its number and speaker; its lines begin with >.)"
JSON_NOTE = (
    "(One JSON object a line, one for each message. An escape such as \\u003c stands for an "
    "ordinary character.)"
)
_MARKUP = frozenset("<>|[]`")
_SPEAKERS = {"teacher": "tutor"}  # one word for it in all that a judge reads


def render_transcript(turns: Sequence[tuple[str, str]], *, escaped: bool) -> str:
    """The conversation for a judge; `turns`: (speaker, visible text).

    `escaped`: for a hosted model.  The first line says how to read the others.
    """
    named = [(_SPEAKERS.get(speaker, speaker), text) for speaker, text in turns]
    if escaped:
        return "\n".join([JSON_NOTE, *_json_lines(named)])
    return "\n".join([QUOTED_NOTE, *_quoted_lines(named)])


def _quoted_lines(turns: Sequence[tuple[str, str]]) -> list[str]:
    """No line of a message can be taken for a heading: what breaks a line breaks it here too."""
    lines = []
    for number, (speaker, text) in enumerate(turns, 1):
        lines.append(f"Message {number}, {' '.join(speaker.split())}:")
        lines += [QUOTE + _without_control(line) for line in text.splitlines() or [""]]
    return lines


def indented_messages(turns: Sequence[tuple[str, str]], *, escaped: bool) -> list[dict[str, str]]:
    """The turns for a prompt that writes them out itself: {"role": ..., "content": ...}.

    Whatever ends a line is followed by spaces, so that no line of a text can begin like a line of
    the prompt: another message, say, or the end of the conversation.  `escaped`: as above.
    """

    def line(text: str) -> str:
        return _literal(text)[1:-1] if escaped else _without_control(text)

    return [
        {"role": role, "content": "\n    ".join(map(line, text.splitlines()))}
        for role, text in turns
    ]


def _without_control(line: str) -> str:
    return "".join(
        c if c == "\t" or unicodedata.category(c)[0] != "C" else _escape(c) for c in line
    )


def _json_lines(turns: Sequence[tuple[str, str]]) -> list[str]:
    """{"message": 1, "speaker": ..., "text": ...}: inside a line there is no raw line break, no
    character that any chat template or fence is made of (< > | [ ] `, nor one that looks like
    them), and nothing invisible: all are \\u escapes, so that no text can end its message or begin
    another."""
    return [
        f'{{"message": {number}, "speaker": {_literal(speaker)}, "text": {_literal(text)}}}'
        for number, (speaker, text) in enumerate(turns, 1)
    ]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_escapes)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else json.dumps(character)[1:-1]


class _Escapes(dict[int, str]):
    """For str.translate: what each character becomes, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        new = character if _harmless(character) else _escape(character)
        self[code] = new
        return new


_escapes = _Escapes()


def _harmless(character: str) -> bool:
    if character == " ":
        return True
    kind = unicodedata.category(character)
    if kind[0] in "CZ" or character in _MARKUP:
        return False
    if character.isascii():
        return True
    normal = unicodedata.normalize("NFKD", character)
    return not (
        set(normal) & (_MARKUP | set('"{}\\')) or normal.isspace() or character in _LOOKALIKES
        or _INVISIBLE.match(character)
    )  # fmt: skip


# brackets, bars and blanks that normalisation does not fold into ASCII
_LOOKALIKES = frozenset("‹›〈〉⟨⟩❮❯❬❭❰❱⟪⟫«»≺≻˂˃ᐸᐳ∣ǀ│┃❘❙⎸⎹⎪￨¦▁⟦⟧〚〛【】〔〕⁅⁆ˋ‵❲❳❴❵⦃⦄")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f"
                        "\uffa0\U000e0100-\U000e01ef]")  # fmt: skip
