"""Finds decisions in what a judge wrote: whole JSON objects first, broken ones by their seams."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_MAX_TRIES = 200  # opening braces that are tried as the start of an object
_MAX_TAGS = 20  # closing tags that are looked at
_THOUGHT = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|scratchpad)"
_THOUGHT_OPENS = re.compile(
    rf"\s*(?:<(?:\w+:)?{_THOUGHT}>|\[THINK\]|◁think▷|<\|(?:START_THINKING|begin_of_thought)\|>"
    r"|<\|channel\|?>\s*(?:thought|analysis|commentary))",
    re.IGNORECASE,
)
_THOUGHT_ENDS = re.compile(
    rf"</(?:\w+:)?{_THOUGHT}>|\[/THINK\]|◁/think▷|<\|(?:END_THINKING|end_of_thought)\|>|<channel\|>"
    r"|<\|channel\|>\s*final\s*(?:<\|message\|>)?|\bassistantfinal",
    re.IGNORECASE,
)
_LATEX = (  # commands whose first letter JSON would take for an escape
    r"t(?:imes|ext[a-z]*|heta|an|anh|au|o|op|frac|riangle|herefore)|r(?:ight[a-z]*|ho|angle|m|floor"
    r"|ceil|vert)|n(?:eq|e|eg|u|ot|otin|abla|geq|leq|mid|parallel|ewline)"
)
_ESCAPE = re.compile(
    rf"\\(?:(?P<kept>u[0-9a-fA-F]{{4}}|[\"\\/])"
    rf"|(?P<latex>(?:{_LATEX})(?![a-zA-Z])|[bf](?=[a-zA-Z]))|(?P<control>[bfnrt])|(?P<other>))"
)
MARKS = "[\"'\u2018-\u201f\u00ab\u00bb\u300c-\u300f\uff02]"
QUOTE = rf"\\*{MARKS}"
GAP = r"(?:\s|\\[nrt]|//[^\n]*\n|/\*.*?\*/)*"
OPENING = re.compile(
    rf"[{{\uff5b]{GAP}(?:{QUOTE}[A-Za-z_]+(?:{QUOTE}){{1,2}}"
    r"|(?:[A-Za-z_]+\s*:[^{}]{0,80})?(?:reasoning|decision|evidence))"
    r"\s*[:\uff1a]",
    re.IGNORECASE,
)
ARGUMENTS = ("arguments", "args", "parameters", "input")  # of a tool call, as a string
_WORD = r"(?P<word>ok|reject(?:ed)?)"
_VALUE = re.compile(rf"(?:[\s\"'`.*!$]|\\+(?:boxed|text)\{{)*{_WORD}[\s\"'`.*!$}}]*", re.IGNORECASE)
_LABEL = r"(?:decision|verdict|judge?ment)\b[\s\"'*_`]*(?:[:=\uff1a>|\u2013-]+|is\b)[\s\"'*_`]*"
_MENTION = re.compile(rf"{_LABEL}{_WORD}|^\W*(?P<alone>reject(?:ed)?)\W*$", re.I | re.M)
_LINE = re.compile(
    rf"[\s*_#>`<|-]*(?:\d+[.)]\s*)?(?:(?:thus|therefore|so|hence),?\s+)?(?:(?:my|the)\s+)?(?:final\s+)?{_LABEL}{_WORD}\b[\"'*_`]*(?:</\w+>)?"
    r"(?P<why>\s*[.!\u3002|]?\s*$|\s*[.,;:(\u3002\uff0c\u2013\u2014-]\s*.*|\s+(?:because|since|as)\b.*)",
    re.IGNORECASE,
)
_HEAD = re.compile(r"[\s*_#>`]*(?P<word>REJECT(?:ED)?)[*_`]*\s*[.:;,\u2013\u2014-]\s+\S")
_OK_HEAD = re.compile(r"\W*OK\b")
_LONE_LABEL = re.compile(r"(decision|verdict)[*_]*[ \t]*(?::[*_]*[ \t]*)?\n\s*", re.IGNORECASE)
_ALONE = re.compile(r"[^\w?]*reject(?:ed)?[^\w?]*", re.IGNORECASE)
_LOOSE_END = re.compile(
    r"""["']\s*,?\s*["']decision["']\s*:\s*["']reject(?:ed)?["']\s*,?\s*\}[\s`]*$""", re.IGNORECASE
)


class Found(NamedTuple):
    """A whole JSON object in a text."""

    start: int
    end: int
    fields: dict[str, Any]


def repaired(text: str) -> str:
    """Backslashes that JSON does not know, or that begin a LaTeX command, doubled."""
    return _ESCAPE.sub(lambda m: m[0] if m["kept"] or m["control"] else "\\\\" + m[0][1:], text)


def as_decision(value: object) -> str | None:
    """ "OK" or "REJECT", in any case, width and dress, or None for anything else."""
    if not isinstance(value, str):
        return None
    match = _VALUE.fullmatch(unicodedata.normalize("NFKC", value))
    return None if match is None else named(match)


def named(match: re.Match[str]) -> str:
    return "OK" if (match["word"] or "reject").lower() == "ok" else "REJECT"


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keys in lower case; a decision given twice and differently is none."""
    fields: dict[str, Any] = {}
    for key, value in pairs:
        name = key.strip().lower()
        twice = name == "decision" and name in fields
        if twice and as_decision(value) != as_decision(fields[name]):
            value = None
        fields[name] = value
    return fields


_decoder = json.JSONDecoder(strict=False, object_pairs_hook=_fields)


def whole_objects(text: str) -> tuple[list[Found], bool]:
    """The outermost JSON objects of a repaired text, and whether a broken one stands among them."""
    found: list[Found] = []
    broken = "\uff5b" in text and OPENING.search(text) is not None
    place = text.find("{")
    for _ in range(_MAX_TRIES):
        if place == -1:
            break
        try:
            fields, end = _decoder.raw_decode(text, place)
            found.append(Found(place, end, fields))
        except (ValueError, RecursionError):
            broken = broken or OPENING.match(text, place) is not None
            end = place + 1
        place = text.find("{", end)
    return found, broken


def without_thinking(text: str) -> str:
    """What follows a judge's thinking, or "" where it never ends.

    A closing tag inside a JSON object, whole or broken, is a quotation.
    """
    for _ in range(_MAX_TAGS):
        opened = _THOUGHT_OPENS.match(text)
        ends = _THOUGHT_ENDS.finditer(text, opened.end() if opened else 0)
        closing = next((m for m in ends if opened or not _quoted(text, m.start())), None)
        if closing is None:
            return "" if opened else text
        text = text[closing.end() :]
    return text


def _quoted(text: str, place: int) -> bool:
    """Whether a place lies inside an object: a whole one, or a broken one that opens the text."""
    if whole_objects(text[:place])[1] and OPENING.match(text[:200].lstrip("` \t\r\njsonJSON")):
        return True
    return any(found.start < place < found.end for found in whole_objects(text)[0])


def verdicts_in(fields: dict[str, Any], depth: int = 3) -> Iterator[tuple[str, object]]:
    """(decision, reasoning) of an object, or of the objects it wraps."""
    if "decision" in fields:
        decision = as_decision(fields["decision"])
        if decision is not None:
            yield decision, fields.get("reasoning", "")
    elif depth:
        for name, value in fields.items():
            if name in ARGUMENTS and isinstance(value, str):
                value = next((f.fields for f in whole_objects(value)[0]), None)
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    yield from verdicts_in(inner, depth - 1)


def contradicted(text: str, objects: Sequence[Found], decision: str) -> str | None:
    """What the text outside the objects makes of the decision inside them.

    "REJECT": the answer ends as a verdict does, so that an OK that looked like an object was a
    quotation with its quotes unescaped.  "doubt": a REJECT is mentioned beside an OK, or a last
    line says OK after a REJECT.  None: nothing speaks against it.
    """
    last = objects[-1].end
    if decision == "REJECT":
        return "doubt" if plain_decision(text[last:]) == "OK" else None
    if _LOOSE_END.search(text, last):
        return "REJECT"
    edges = [0, *(edge for o in objects for edge in (o.start, o.end)), len(text)]
    outside = [text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    mentions = {named(m) for part in outside for m in _MENTION.finditer(part)}
    # "However, I would REJECT this": the word as it was asked for, after the object
    return "doubt" if "REJECT" in mentions or re.search(r"\bREJECT", text[last:]) else None


def plain_decision(text: str) -> str | None:
    """The decision of an answer without JSON: all of it, or its first or last line.

    "Decision: REJECT" and "Decision: OK - nothing is told" are such lines; only a REJECT may also
    open the answer without that label ("REJECT. The tutor ...").  An OK stands only where nothing
    else in the answer speaks of rejecting.
    """
    lines = [line for line in _LONE_LABEL.sub(r"\1: ", text).splitlines() if line.strip(" \t`")]
    if not lines:
        return None
    found = {n: named(m) for n, line in enumerate(lines) if (m := _LINE.fullmatch(line))}
    said = {found[n] for n in (0, len(lines) - 1) if n in found}
    if (head := _HEAD.match(lines[0])) and not any(_OK_HEAD.match(line) for line in lines):
        said.add(named(head))
    said |= {d for d in [as_decision(text), _boxed(lines[-1])] if d}
    if _ALONE.fullmatch(lines[-1]) or _ALONE.fullmatch(lines[0]):
        said.add("REJECT")
    if said == {"OK"}:
        return "OK" if "reject" not in text.lower() else None
    return "REJECT" if said | set(found.values()) == {"REJECT"} else None


def _boxed(line: str) -> str | None:
    return as_decision(line[line.rfind("\\boxed") :]) if "\\boxed" in line else None
