"""What judges do to JSON: escapes, comments, quotes and punctuation of other alphabets."""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import json
import re

_LATEX = (  # commands whose first letter JSON would take for an escape
    r"t(?:imes|ext[a-z]*|heta|an|anh|au|o|op|frac|riangle|herefore)|r(?:ight[a-z]*|ho|angle|m|floor"
    r"|ceil|vert)|n(?:eq|e|eg|u|ot|otin|abla|geq|leq|mid|parallel|ewline)"
)
_ESCAPE = re.compile(
    rf"\\(?:(?P<kept>u[0-9a-fA-F]{{4}}|[\"\\/])"
    rf"|(?P<latex>(?:{_LATEX})(?![a-zA-Z])|[bf](?=[a-zA-Z]))|(?P<control>[bfnrt])|(?P<other>))"
)
_ESCAPED = re.compile(r'\{\s*\\"')
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n{]*|/\*.*?\*/', re.DOTALL)
_COMMA = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")(?=\s+")|"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])""", re.DOTALL
)
_QUOTES = dict.fromkeys(map(ord, "“”„‟«»「」『』＂"), '"') | dict.fromkeys(map(ord, "‘’‚‹›"), "'")
_FIRST_QUOTE = re.compile(r"\{\s*([\"'" + "".join(map(chr, _QUOTES)) + "])")
_WIDE = re.compile(r"""(?<=["'\]}\w])(\s*)([，：])(?=\s*["'\[{\w])""")
_WIDE_BRACES = str.maketrans("｛｝", "{}")


def repaired(text: str) -> str:
    """Backslashes that JSON does not know, or that begin a LaTeX command, doubled."""
    return _ESCAPE.sub(lambda m: m[0] if m["kept"] or m["control"] else "\\\\" + m[0][1:], text)


def unescaped(text: str) -> str:
    r"""An object whose quotes are escaped, read: {\"a\": 1}, as a JSON string or bare."""
    first, last = _ESCAPED.search(text), text.rfind("}") + 1
    if first is None or "{" in text[: first.start()]:  # else it may be words in a string
        return text
    try:
        inside = json.loads(f'"{text[first.start() : last]}"', strict=False)
    except ValueError:  # it holds quotes that are not escaped: they are its own
        return text
    return repaired(f"{text[: first.start()]}{inside}{text[last:]}")


def straightened(text: str) -> str:
    """Quotes, commas, colons and braces of other alphabets as JSON's, each in its place.

    Quotes only where the object opens with one of them: else they are words inside a string.
    """
    text = text.translate(_WIDE_BRACES)
    first = _FIRST_QUOTE.search(text)
    if first and ord(first[1]) in _QUOTES:
        text = text.translate(_QUOTES)
    return _WIDE.sub(lambda m: m[1] + ("," if m[2] == "，" else ":"), text)


def tidied(text: str) -> str:
    """No comments, no comma too many or too few, outside double-quoted strings."""
    text = _COMMENT.sub(lambda m: m[0] if m[0].startswith('"') else "", text)
    return _COMMA.sub(lambda m: f"{m['string']}," if m["string"] else m[0].strip(","), text)
