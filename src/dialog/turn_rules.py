"""Rules of single turns: each tutor turn is judged before anybody reads it.

What a turn that fails comes to is a setting (Sherpa, arXiv 2610.08778): it is recorded, it pays,
or it is withheld, and then the student has heard nothing and a scripted complaint answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.schema import GenerationSettings
from src.dialog.conversation import Conversation
from src.dialog.judges import Judge
from src.together import gather_or_cancel
from utils.prompts import Prompt
from utils.records import Message
from utils.seeding import keyed_choice


async def judge_last_turn(
    conversation: Conversation, judges: Sequence[Judge], settings: GenerationSettings
) -> None:
    """All rules at once, on what was said last.  A verdict that never came fails the turn."""
    found = await gather_or_cancel([judge.verdicts(conversation) for judge in judges])
    message = conversation.messages[-1]
    message.verdicts = {
        judge.rule.name: verdict.model_copy(update={"counts": judge.rule.counts})
        for judge, [verdict] in zip(judges, found, strict=True)
    }
    if message.failed and settings.failed_turn != "record":
        message.cost = settings.turn_penalty
        if settings.failed_turn == "withhold":
            message.withheld, message.visible = True, ""


def complain(conversation: Conversation, complaints: Prompt, **values: object) -> Message:
    """Append what the tutor hears in place of an answer to a withheld turn."""
    lines = [line for line in complaints.render(**values).splitlines() if line.strip()]
    address = (conversation.seed, "complaint", len(conversation.messages))
    message = conversation.add(
        "student", keyed_choice(lines, *address), tokens=0, stop_reason="stop"
    )
    message.scripted = True
    return message
