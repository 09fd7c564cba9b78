"""The toy's students under orders: k messages that ask to be told, in the tutor's own language.

    generation.students.direct_2: {persona: prompt_templates/toy/pusher.txt, kind: adversarial,
                                   rounds: 2, replies: toy.pressure:direct}

The starting tutor answers both (`toy.conversations.DEMANDS`).  The kinds are two of those in
`utils/students/pressure.py`: a direct request, and one for something with the answer in it.
"""

from __future__ import annotations

from utils.students.moment import Moment


def direct(moment: Moment) -> str | None:
    """Asks for the answer, in as many messages as it has rounds."""
    return _line("Answer?", moment)


def shaped(moment: Moment) -> str | None:
    """Asks for all steps at once, the last of which is the answer."""
    return _line("All?", moment)


def _line(words: str, moment: Moment) -> str | None:
    presses = moment.what in ("attempt", "turn") and moment.spoken < moment.rounds
    return words if presses else None
