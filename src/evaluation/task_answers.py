"""How MathTutorBench reads an answer: numbers, yes or no, a step, questions."""

from __future__ import annotations

import re

from utils.data.rows.bad_rows import BadRow

_NUMBER = re.compile(r"-?(?:\d*\.)?\d+")
_WITH_COMMAS = r"\$?([-,\d]*(?:\.\d+|\d))"
_COMMAS = re.compile(_WITH_COMMAS)
_FINAL = re.compile(rf"Final Answer:\s*{_WITH_COMMAS}")
_STEP = re.compile(r"\d+")
_SEPARATOR = " ** "  # between a question and its step, in GSM8K's Socratic answers


def number_of(text: str) -> float:
    """The number that a reference is.  Raises BadRow."""
    try:
        return float(text)
    except ValueError:
        raise BadRow("without a number", f"the answer {text[:40]!r} is no number") from None


def last_number(said: str) -> float | None:
    """The last number of an answer; a comma ends one, so that 1,234 is read as 234."""
    found = _NUMBER.findall(said)
    return float(found[-1]) if found else None


def final_number(said: str) -> float | None:
    """The number after the words `Final Answer:`, else the last one; commas within it are left out.

    None where what stands there is no number (`5-3`).
    """
    final = _FINAL.search(said)
    found = [final[1]] if final else _COMMAS.findall(said)
    try:
        return float(found[-1].replace(",", "")) if found else None
    except ValueError:
        return None


def says_incorrect(said: str) -> bool:
    """Yes, anywhere and in any word, is incorrect; else No is correct; neither is incorrect."""
    low = said.lower()
    return "yes" in low or "no" not in low


def error_step(said: str) -> int:
    """The first whole number; 0 without one."""
    found = _STEP.search(said)
    return int(found[0]) if found else 0


def questions_of(answer: str) -> list[str]:
    """The questions of a GSM8K answer of the `socratic` kind: lines `QUESTION ** STEP`."""
    parts = [line.split(_SEPARATOR) for line in answer.split("\n")]
    return [pair[0] for pair in parts if len(pair) == 2]
