"""Finds decisions in what a judge wrote: whole JSON objects first, broken ones by their seams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_MAX_TRIES = 200  # opening braces that are tried as the start of an object
_MAX_TAGS = 20  # closing tags that are looked at
_LATEX = (  # commands whose first letter JSON would take for an escape
    r"t(?:imes|ext[a-z]*|heta|an|anh|au|o|op|frac|riangle|herefore)|r(?:ight[a-z]*|ho|angle|m|floor"
    r"|ceil|vert)|n(?:eq|e|eg|u|ot|otin|abla|geq|leq|mid|parallel|ewline)"
)
_ESCAPE = re.compile(
    rf"\\(?:(?P<kept>u[0-9a-fA-F]{{4}}|[\"\\/])"
    rf"|(?P<latex>(?:{_LATEX})(?![a-zA-Z])|[bf](?=[a-zA-Z]))|(?P<control>[bfnrt])|(?P<other>))"
)
_OPENING = re.compile(
    r"""\{\s*(?:(?P<quote>["'])[A-Za-z_]+(?P=quote)|(?:reasoning|decision|evidence))\s*:""",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[\s\"'`.*!]*(ok|reject(?:ed)?)[\s\"'`.*!]*", re.IGNORECASE)
_MENTION = re.compile(r"""decision["'*]*\s*[:=]\s*["'*]*(ok|reject)""", re.IGNORECASE)
_LOOSE_END = re.compile(
    r"""["']\s*,\s*["']decision["']\s*:\s*["']reject(?:ed)?["']\s*,?\s*\}[\s`]*$""", re.IGNORECASE
)
_LINE = re.compile(
    r"""[\s*_#>`-]*(?:final\s+)?(?:decision|verdict)[\s*_]*(?:[:=]|is\b)[\s*_]*["']?"""
    r"""(ok|reject(?:ed)?)["']?[\s*_.!`]*""",
    re.IGNORECASE,
)
_SMART = str.maketrans(  # curly quotes, double and single
    dict.fromkeys("\u201c\u201d\u201e\u201f", '"') | dict.fromkeys("\u2018\u2019", "'")
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
    """ "OK" or "REJECT", in any case and dress, or None for anything else."""
    match = _VALUE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return "OK" if match[1].lower() == "ok" else "REJECT"


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
    broken, straight = False, text.translate(_SMART)
    place = text.find("{")
    for _ in range(_MAX_TRIES):
        if place == -1:
            break
        try:
            fields, end = _decoder.raw_decode(text, place)
            found.append(Found(place, end, fields))
        except (ValueError, RecursionError):
            broken = broken or _OPENING.match(straight, place) is not None
            end = place + 1
        place = text.find("{", end)
    return found, broken


def without_thinking(text: str) -> str:
    """What follows a judge's thinking.

    A closing tag inside a JSON object, whole or broken, is a quotation.
    """
    for _ in range(_MAX_TAGS):
        if _OPENING.match(text[:200].translate(_SMART).lstrip("` \t\r\njsonJSON")):
            break

        opened = text.lstrip().startswith("<think>")
        place = text.find("</think>")
        if not opened:
            spans = [(f.start, f.end) for f in whole_objects(text)[0]]
            while any(start < place < end for start, end in spans):
                place = text.find("</think>", place + 1)
        if place == -1:
            return "" if opened else text
        text = text[place + len("</think>") :]
    return text


def verdicts_in(fields: dict[str, Any], depth: int = 3) -> Iterator[tuple[str, object]]:
    """(decision, reasoning) of an object, or of the objects it wraps."""
    if "decision" in fields:
        decision = as_decision(fields["decision"])
        if decision is not None:
            yield decision, fields.get("reasoning", "")
    elif depth:
        for value in fields.values():
            if isinstance(value, dict):
                yield from verdicts_in(value, depth - 1)


def contradicted(text: str, objects: list[Found]) -> str | None:
    """What the text outside the objects makes of an OK inside them.

    "REJECT": the answer ends as a verdict does, so that what looked like an object was a quotation
    with its quotes unescaped.  "doubt": a REJECT is mentioned.  None: nothing speaks against it.
    """
    if _LOOSE_END.search(text, objects[-1].end):
        return "REJECT"
    edges = [0, *(edge for o in objects for edge in (o.start, o.end)), len(text)]
    outside = [text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    mentions = [m[1].lower() for part in outside for m in _MENTION.finditer(part)]
    return "doubt" if "reject" in mentions else None


def loose_decision(text: str) -> str | None:
    """The decision of a text whose JSON is broken or cut off.

    Objects are followed from opening to decision: a decision inside an object that opened within
    another is a quotation.  An object that holds both is a REJECT (the OK was quoted in it); two
    objects that differ are none; an OK stands only where no REJECT is said anywhere.
    """
    text = text.translate(_SMART)
    first = _OPENING.search(text)
    if first is None:
        return None
    top, members, at_end = _follow(text, first["quote"] or "", first.start())
    if not top:
        return "REJECT" if members and members[-1] == "REJECT" and at_end else None
    if set(top) == {"OK"}:
        return "OK" if "REJECT" not in members else None
    return "REJECT" if set(top) == {"REJECT"} else None


def _follow(text: str, quote: str, start: int) -> tuple[list[str], list[str], bool]:
    """Decisions of the outermost objects; all decisions; whether the last one ends the text."""
    before, after = quote or """["']?""", quote or r"""["']?(?=[,}\s])"""
    event = re.compile(
        rf"(?P<open>\{{(?=\s*{quote}[A-Za-z_]+{quote}\s*:))"
        rf"|(?<=[{{,])\s*{quote}decision{quote}\s*:\s*{before}\s*"
        rf"(?:(?P<value>ok|reject(?:ed)?)[\s.!]*{after}(?P<close>\s*,?\s*\}})?"
        rf"|(?P<cut>reject)\s*$)",
        re.IGNORECASE,
    )
    stack: list[list[str]] = []
    top: list[str] = []
    members: list[str] = []
    end = start
    for match in event.finditer(text, start):
        end = match.end()
        if match["open"]:
            stack.append([])
            continue
        decision = "OK" if (match["value"] or "").lower() == "ok" else "REJECT"
        members.append(decision)
        if not stack:  # closes once more: what closed before it was a quotation
            top = [decision] if decision == "REJECT" else [*top, decision]
            continue
        stack[-1].append(decision)
        if match["close"] and len(closed := stack.pop()) and not stack:
            top.append(_one(closed))
    if stack and stack[0]:
        top.append(_one(stack[0]))
    return top, members, not text[end:].strip("}`] \n\r\t")


def _one(decisions: list[str]) -> str:
    return "REJECT" if "REJECT" in decisions else "OK"


def plain_decision(text: str) -> str | None:
    """The decision of an answer without JSON: the whole text, or its last line, "Decision: OK"."""
    lines = [line for line in text.splitlines() if line.strip(" \t`")]
    if not lines:
        return None
    match = _LINE.fullmatch(lines[-1])
    decision = as_decision(match[1]) if match else as_decision(text)
    others = {as_decision(m[1]) for line in lines[:-1] if (m := _LINE.fullmatch(line))}
    return None if decision == "OK" and "REJECT" in others else decision
