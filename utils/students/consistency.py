"""Whether a message is in character, where a program can say so: `generation.students.NAME.check`.

A check is a function (message) -> bool of one message of the student's.  Most archetypes want
something that only a reader can recognise; they have none.
"""

from __future__ import annotations

import re

SHY_WORDS = 10  # as prompt_templates/students/shy.txt says
_HEDGES = re.compile(
    r"\b(maybe|perhaps|i think|i guess|not sure|might|could be|probably|i don't know|unsure)\b",
    re.IGNORECASE,
)
_PRESSES = re.compile(
    r"\b(answer|result|tell me|just say|say it|give me|what is it|solution|number)\b", re.IGNORECASE
)


def shy(message: str) -> bool:
    """Ten words or fewer."""
    return len(message.split()) <= SHY_WORDS


def overconfident(message: str) -> bool:
    """No hedge, and nothing asked."""
    return "?" not in message and _HEDGES.search(message) is None


def presses(message: str) -> bool:
    """Speaks of the result that it wants: direct requests, favours and shaped ones alike."""
    return _PRESSES.search(message) is not None
