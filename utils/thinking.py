"""Hidden planning and the end tag: what of a turn the others see."""

from __future__ import annotations

import re
from collections.abc import Iterable

from utils.thinking_formats import (
    AROUND_ANSWERS,
    FINAL_RESPONSE,
    KNOWN,
    TAGS,
    ThinkingFormat,
    marker_pattern,
)

END_TAG = "<end_of_conversation>"
THINK_OPEN, THINK_CLOSE = TAGS.begin, TAGS.end
_THINK = re.compile(f"{TAGS.begins_pattern}|{TAGS.ends_pattern}", re.IGNORECASE)
# no two neighbours may match the same blanks: a turn of 100,000 of them would be hours of work
_END = re.compile(r"<\s*(?:/\s*)?end_of_conversation\s*(?:/\s*)?>", re.IGNORECASE)


class Thinking:
    """What one model's text hides: planning in any of `formats`, and the markers `around` answers.

    The tutor's own <think> tags are always among the formats.
    """

    def __init__(self, formats: Iterable[ThinkingFormat] = (), around: Iterable[str] = ()) -> None:
        self.formats = tuple(dict.fromkeys((TAGS, *formats)))
        self.around = tuple(around)
        kinds = [
            f"(?P<begin{i}>{each.begins_pattern})|(?P<end{i}>{each.ends_pattern})"
            for i, each in enumerate(self.formats)
        ]
        kinds += [f"(?P<around{i}>{marker_pattern(m)})" for i, m in enumerate(self.around)]
        self._marks = re.compile("|".join(kinds), re.IGNORECASE)

    def hide(self, text: str) -> str:
        """The text without its hidden planning.

        Hidden is what stands between the markers, nested or not; an unclosed opening hides the
        rest of the turn, and a closing that nothing opened hides all before it: in doubt, hidden.
        """
        return "".join(part for part, is_hidden in self._parts(text) if not is_hidden)

    def hidden(self, text: str) -> str:
        """The planning that `hide` leaves out, a line each, without its markers."""
        parts = [part.strip() for part, is_hidden in self._parts(text) if is_hidden]
        return "\n".join(part for part in parts if part)

    def _parts(self, text: str) -> list[tuple[str, bool]]:
        """The text between its markers, each part with whether it is hidden."""
        parts: list[tuple[str, bool]] = []
        inside: int | None = None  # the format that has been opened
        depth, position = 0, 0
        for mark in self._marks.finditer(text):
            kind, which = self._kind(mark)
            if inside is not None and (which != inside or kind == "around"):
                continue  # another format's marker is part of the plan
            parts.append((text[position : mark.start()], inside is not None))
            position = mark.end()
            if inside is None and kind == "end":
                parts = [(part, True) for part, _ in parts]
            elif inside is None and kind == "begin":
                inside, depth = which, 1
            elif inside is not None and kind == "begin":
                depth += self.formats[inside].nests
            elif inside is not None:
                depth -= 1
                inside = inside if depth else None
        return [*parts, (text[position:], inside is not None)]

    def visible(self, text: str) -> str:
        """What the other role and the judges see of a turn: no planning, no end tag."""
        return _END.sub("", self.hide(text)).strip()

    def says_the_end(self, text: str) -> bool:
        """Whether a tutor turn ends the conversation: the tag outside its planning."""
        return _END.search(self.hide(text)) is not None

    def in_tags(self, text: str) -> str:
        """The text with its planning in <think> tags, whatever its format: one reader for all."""
        kinds = {"begin": THINK_OPEN, "end": THINK_CLOSE, "around": ""}
        return self._marks.sub(lambda mark: kinds[self._kind(mark)[0]], text)

    def opened_in(self, text: str) -> tuple[str, ThinkingFormat] | None:
        """What a text leaves open at its end: the opening marker and all after it, its format."""
        last: tuple[str, ThinkingFormat] | None = None
        for mark in self._marks.finditer(text):
            kind, which = self._kind(mark)
            if kind == "begin":
                last = (text[mark.start() :], self.formats[which])
            elif kind == "end":
                last = None
        return last

    @staticmethod
    def _kind(mark: re.Match[str]) -> tuple[str, int]:
        """(begin, end or around; which one) of a marker that was found."""
        name = mark.lastgroup or ""
        kind = name.rstrip("0123456789")
        return kind, int(name.removeprefix(kind))


TAGGED = Thinking()
# A hosted model's template is not ours to read: whatever can only be a marker is hidden.
HOSTED = Thinking([*(each for each in KNOWN if not each.words), FINAL_RESPONSE], AROUND_ANSWERS)


def visible_text(text: str) -> str:
    """What others see of a turn with <think> tags: no planning, no end tag."""
    return TAGGED.visible(text)


def says_the_end(text: str) -> bool:
    """Whether a tutor turn with <think> tags ends the conversation."""
    return TAGGED.says_the_end(text)


def has_thinking_tags(text: str) -> bool:
    """Whether a turn plans, or tries to."""
    return _THINK.search(text) is not None


def thinking_is_well_formed(text: str) -> bool:
    """Planning whose every tag is opened and closed in turn, in a turn that the student can see.

    Several blocks are well formed, and so is one after words or an empty one (as in the paper's
    code); a turn that hides all it says is not.
    """
    depth = 0
    for tag in _THINK.finditer(text):
        depth += -1 if "/" in tag.group() else 1
        if depth < 0:
            return False
    return depth == 0 and has_thinking_tags(text) and visible_text(text) != ""
