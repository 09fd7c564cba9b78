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

MAX_LENGTH = 1000  # characters of an answer; longer ones are compared as they stand
_BOX = re.compile(r"\\f?box(?:ed)?(?![a-zA-Z])\s*")
_BARE_END = re.compile(r"\$|\\\)|\\\]|\n|[.,;](?:\s|$)")
_PLAIN = re.compile(r"\$?-?[\d,]*\.?\d+%?")
_SIGN = r"(?:[-+*\u2212\u00d7\u00b7\u22c5\u00f7]|\\(?:times|cdot|div)(?![a-zA-Z]))"
_OPERATION = re.compile(rf"\d[\s)}}]*({_SIGN})[\s({{]*(?=\d|\\[dt]?frac|\\sqrt)")
_POWER_OF_TEN = re.compile(rf"{_SIGN}\s*10\s*(?:\^|\*\*)")
_log = logging.getLogger(__name__)


def last_boxed(text: str) -> str | None:
    """What the last \\boxed or \\fbox of a text holds; None where there is none, or it is cut off.

    Braces nest and escaped ones are text.  `\\boxed 5` holds what follows up to the end of the
    formula, line or clause.
    """
    last = max(_BOX.finditer(text), key=lambda box: box.start(), default=None)
    if last is None:
        return None
    if text[last.end() : last.end() + 1] != "{":
        end = _BARE_END.search(text, last.end())
        return text[last.end() : end.start() if end else None].strip() or None
    depth, escaped = 0, False
    for place in range(last.end(), len(text)):
        character = text[place]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return text[last.end() + 1 : place].strip()
    return None


def is_correct(solution: str, answer: str) -> bool:
    """Whether the solution's own last box holds the answer.

    Where the answer is a number, a sum or product still to be done is not one: a student who
    boxes the question of "What is 4 * 4?" has not solved it, though 4 * 4 equals 16.

    May take as long as `symbolic.WALL_LIMIT_S` (plus waiting for a free slot); call it through
    `asyncio.to_thread` from a loop.
    """
    boxed = last_boxed(solution)
    if boxed is None or (_PLAIN.fullmatch(answer.strip()) and is_unfinished(boxed)):
        return False
    return equal(boxed, answer)


def is_unfinished(answer: str) -> bool:
    """Whether numbers still wait to be added, subtracted, multiplied or divided (not: 3 x 10^5).

    Fractions, powers and roots are ways to write a number; of an equation its right side counts.
    """
    last = answer.rsplit("=", 1)[-1]
    return any(not _POWER_OF_TEN.match(last, sign.start(1)) for sign in _OPERATION.finditer(last))


@lru_cache(maxsize=16384)
def equal(a: str, b: str) -> bool:
    """Whether two answers say the same; symmetric.  What counts: `utils.answers.leaf`.

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
