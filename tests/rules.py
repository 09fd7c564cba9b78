"""Judge rules and rewards for tests, where random models are to get rewards that differ."""

from __future__ import annotations

from collections.abc import Sequence

from utils.verdicts.judging import Verdict


def odd(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> Verdict:
    """Rejects where the tutor's text has an odd number of ASCII letters: about every other one."""
    letters = sum(c.isascii() and c.isalpha() for role, text in turns if role == "teacher"
                  for c in text)  # fmt: skip
    return Verdict(decision="REJECT" if letters % 2 else "OK", reasoning=f"{letters} letters")


def no_reward(record: object, settings: object) -> float:
    """A reward that fails."""
    raise LookupError("nothing to look up")
