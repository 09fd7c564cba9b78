"""Whether a solution's boxed answer is the right one: safe in threads, beside asyncio, in time.

Numbers, fractions, units, percentages, tuples, intervals, sets and words are compared in plain
Python, in microseconds; only what is left (unknowns, functions, equations) goes to math-verify, in
a process of its own that the kernel ends when its time is up.  An answer that could not be shown
equal in time is not equal.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache

from utils.answers import symbolic
from utils.answers.forms import equal_forms
from utils.answers.reading.unfinished import is_unfinished
from utils.thinking import HOSTED

MAX_LENGTH = 1000  # characters of an answer; longer ones are compared as they stand
_BOX = re.compile(
    r"(?:\\(?:f|frame)?box(?:ed)?|\\Boxed|(?:\x08|(?<![A-Za-z\\]))oxed(?=\s*\{))(?![a-zA-Z])\s*"
)
_BARE_END = re.compile(r"\$|\\\)|\\\]|\n|[.,;](?:\s|$)")
_DENIED = re.compile(
    r"(?:\bnot|n't|\bcannot be|\bnever)(?:\s+(?:be|equal(?: to)?))?[\s:$*({\[\\]*$"
)
_TAKEN_BACK = re.compile(
    r"\}?[\s$*)\]\\]*(?:text\{\s*)?(?:is|was)\s+(?:wrong|incorrect|not\s+(?:right|correct|the\s+(?:\w+\s+)?answer))\b"
)
_log = logging.getLogger(__name__)


def last_boxed(text: str) -> str | None:
    r"""What the last \boxed or \fbox of a text holds; None where there is none.

    Braces nest and escaped ones are text.  `\boxed 5` holds what follows up to the end of the
    formula, line or clause.  A last box that is empty or cut off only repeats an earlier one if it
    begins as that one does; otherwise there is none.  Neither is there one that the text denies
    (it is not \boxed{5}; \boxed{5} is wrong).
    """
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    held, whole = _held(text, boxes[-1].end())
    if len(boxes) > 1 and not (whole and held):
        before, _ = _held(text[: boxes[-1].start()], boxes[-2].end())
        return before if before and before.startswith(held) else None
    if not whole or _DENIED.search(text, max(0, boxes[-1].start() - 40), boxes[-1].start()):
        return None
    after = text[boxes[-1].end() :].partition(held)[2] if held else ""
    return None if _TAKEN_BACK.match(after) else held


def _held(text: str, start: int) -> tuple[str, bool]:
    """What a box holds that begins at `start`, and whether it has an end."""
    if text[start : start + 1] != "{":
        end = _BARE_END.search(text, start)
        held = text[start : end.start() if end else None].strip()
        return held, bool(held)
    depth, place = 0, start
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] in "{}":
            depth += 1 if text[place] == "{" else -1
            if depth == 0:
                return text[start + 1 : place].strip(), True
        place += 1
    return _unclosed(text[start + 1 :])


def _unclosed(text: str) -> tuple[str, bool]:
    r"""A box that lacks a brace, in a formula that ends: $\boxed{\text{42}$ or $\boxed{42\}$."""
    end = re.search(r"\}\s*(?:\$|\\\)|\\\])", text)
    if end is None:
        return text.strip(), False
    inside = text[: end.start()]
    return (f"{inside}}}" if inside.count("{") else inside.removesuffix("\\")).strip(), True


def is_correct(solution: str, answer: str) -> bool:
    """Whether the solution's own last box holds the answer; what it only thinks does not count.

    Where the answer is a number, work still to be done is not one: a student who boxes the question
    of "What is 4 * 4?" has not solved it, though 4 * 4 equals 16 (`reading.unfinished`).

    May take as long as `symbolic.WALL_LIMIT_S` (plus waiting for a free slot); call it through
    `asyncio.to_thread` from a loop.
    """
    boxed = last_boxed(HOSTED.hide(solution))
    if boxed is None or not equal(boxed, answer):
        return False
    return boxed == answer.strip() or not is_unfinished(boxed, answer)


@lru_cache(maxsize=16384)
def equal(a: str, b: str) -> bool:
    """Whether two answers say the same; symmetric.  What counts: docs/answers.md.

    Nothing equals an empty answer.  Raises RuntimeError where math-verify cannot be started.
    """
    a, b = a.strip(), b.strip()
    if not a or not b:
        return False
    if max(len(a), len(b)) > MAX_LENGTH:
        return a == b
    verdict = equal_forms(a, b)
    if verdict is None:
        verdict = symbolic.compare(a, b)
        if verdict is None:
            _log.warning("answers: no verdict in time on %.60r and %.60r: not equal", a, b)
    return bool(verdict)
