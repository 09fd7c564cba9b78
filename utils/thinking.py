"""Hidden planning and the end tag: what of a turn the others see."""

from __future__ import annotations

import re

END_TAG = "<end_of_conversation>"
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
# no two neighbours may match the same blanks: a turn of 100,000 of them would be hours of work
_THINK = re.compile(r"<\s*(?:(/)\s*)?think\s*>", re.IGNORECASE)
_END = re.compile(r"<\s*(?:/\s*)?end_of_conversation\s*(?:/\s*)?>", re.IGNORECASE)


def hide_thinking(text: str) -> str:
    """The text without its hidden planning.

    Hidden is what stands between the tags, nested or not; an unclosed opening tag hides the rest
    of the turn, and a closing tag that nothing opened hides all before it: in doubt, hidden.
    """
    shown: list[str] = []
    depth, position = 0, 0
    for tag in _THINK.finditer(text):
        if depth == 0:
            shown.append(text[position : tag.start()])
        if tag.group(1):
            if depth == 0:
                shown.clear()
            depth = max(0, depth - 1)
        else:
            depth += 1
        position = tag.end()
    if depth == 0:
        shown.append(text[position:])
    return "".join(shown)


def visible_text(text: str) -> str:
    """What the other role and the judges see of a turn: no planning, no end tag."""
    return _END.sub("", hide_thinking(text)).strip()


def says_the_end(text: str) -> bool:
    """Whether a tutor turn ends the conversation: the tag outside its planning."""
    return _END.search(hide_thinking(text)) is not None


def thinking_is_well_formed(text: str) -> bool:
    """One planning block at the head of the turn, closed, with words in it and words after it."""
    match = re.fullmatch(r"\s*<think>(.+?)</think>(.+)", text, re.DOTALL)
    if match is None or any(_THINK.search(part) for part in match.groups()):
        return False
    return bool(match.group(1).strip()) and bool(match.group(2).strip())
