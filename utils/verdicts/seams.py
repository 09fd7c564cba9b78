"""The decision of an answer whose JSON is broken or cut off, by the seams of its objects."""

from __future__ import annotations

import re

from utils.verdicts.verdict_text import ARGUMENTS, GAP, MARKS, OPENING, QUOTE, named

_EVENT = re.compile(
    rf"(?P<open>[{{\uff5b](?={GAP}(?:{QUOTE})?[A-Za-z_]+(?:{QUOTE})?\s*[:\uff1a]))"
    rf"|(?:(?<=[{{,;\uff5b\uff0c]){GAP}|(?<={MARKS})\s+)(?:(?P<key>{QUOTE})decision{QUOTE}|decision)\s*[:\uff1a]\s*"
    rf"(?:{QUOTE})?[\s*]*(?:(?P<word>ok|reject(?:ed)?)[\s.!*]*(?:{QUOTE}|(?=[,}}\s]))"
    rf"(?P<close>\s*[,\uff0c]?\s*[}}\uff5d])?|(?P<cut>reject)\s*$)",
    re.IGNORECASE,
)

_KEY = re.compile(rf"{GAP}((?:{QUOTE})?)")
_WRAPS = re.compile(  # what stands before an object that is a value, not words in a string
    rf"\w[\"\u201d\u00bb\u300d\uff02]\s*:\s*\[?\s*$|\b(?:{'|'.join(ARGUMENTS)}){QUOTE}\s*:\s*{QUOTE}\s*$",
    re.I,
)
_REASONING = re.compile(rf"{QUOTE}reasoning{QUOTE}\s*[:\uff1a]\s*{QUOTE}", re.IGNORECASE)
_DECISION = re.compile(rf"{QUOTE}\s*[,\uff0c]?\s*{QUOTE}decision{QUOTE}", re.IGNORECASE)
_LAST = re.compile(rf"{QUOTE}[`}}\s\uff5d]*$")


def loose_decision(text: str) -> str | None:
    """The decision of a text whose JSON is broken or cut off.

    Objects are followed from opening to decision: a decision inside an object that opened within
    another is a quotation.  An object that holds both is a REJECT (the OK was quoted in it); two
    objects that differ are none; an OK stands only where no REJECT is said anywhere.
    """
    first = OPENING.search(text)
    if first is None:
        return None
    top, members, rest = _follow(text, first.start())
    if not top:
        at_end = not rest.strip("}`] \n\r\t")
        return "REJECT" if members and members[-1] == "REJECT" and at_end else None
    if set(top) == {"OK"}:
        return "OK" if "REJECT" not in members and "REJECT" not in rest else None
    return "REJECT" if set(top) == {"REJECT"} else None


def _follow(text: str, start: int) -> tuple[list[str], list[str], str]:
    """Decisions of the outermost objects; all decisions; the text after the last one."""
    stack: list[list[str]] = []
    top: list[str] = []
    members: list[str] = []
    end, quote = start, '"'  # the quote of the outermost object's keys
    for match in _EVENT.finditer(text, start):
        between, end = text[end : match.start()].rstrip("{ "), match.end()
        if match["open"]:
            if stack and stack[-1] and between.count("}") > between.count("{"):
                _close(stack, top)
            wraps = stack and _WRAPS.search(text[max(start, end - 60) : match.start()])
            if not wraps:
                stack.append([])
            if wraps or len(stack) == 1:
                quote = first[1] if (first := _KEY.match(text, end)) else ""
            continue
        decision = named(match)
        if decision == "OK" and (match["key"] or "") != quote:
            continue  # words in a string
        members.append(decision)
        if not stack:  # closes once more: what closed before it was a quotation
            top = [decision] if decision == "REJECT" else [*top, decision]
            continue
        stack[-1].append(decision)
        if match["close"]:
            _close(stack, top)
    if stack and stack[0]:
        top.append(_one(stack[0]))
    return top, members, text[end:]


def _close(stack: list[list[str]], top: list[str]) -> None:
    closed = stack.pop()
    if not stack:
        top.append(_one(closed))


def _one(decisions: list[str]) -> str:
    return "REJECT" if "REJECT" in decisions else "OK"


def loose_reasoning(text: str) -> str:
    """What stands between the reasoning's quotes, as far as they can be told; else the text."""
    begin = _REASONING.search(text)
    if begin is None:
        return text
    written = text[begin.end() :]
    for decision in _DECISION.finditer(text, begin.end()):
        written = text[begin.end() : decision.start()]
    written = _LAST.sub("", written)
    return written.replace(r"\"", '"').replace(r"\n", "\n").replace("\\\\", "\\")
