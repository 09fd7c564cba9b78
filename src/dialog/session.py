"""From one problem of a session to the next: what the student can do by now, what all are told.

Everything stays in the same views: what was said of one problem is there when the next one comes,
and whoever is told of it hears it as a message that is nobody's own (mask 0 in the tutor's ledger).
"""

from __future__ import annotations

from src.dialog.conversation import Conversation
from src.dialog.post_tests import PostTests
from src.dialog.speakers import Speakers
from utils.data.problems import Problem
from utils.records import TaughtProblem


def taught_problems(problem: Problem) -> list[TaughtProblem]:
    """What a session is to teach before its last problem, none of it come to yet."""
    return [
        TaughtProblem(problem_id=one.id, problem=one.text, answer=one.answer)
        for one in problem.earlier
    ]


async def go_on(conversation: Conversation, speakers: Speakers, tests: PostTests | None) -> None:
    """End the talk about one problem and open the next; without `tests` nothing is solved.

    Without tokens left the tutor's part is over, and the last problem is next.
    """
    taught = conversation.taught[conversation.at]
    taught.stop_reason = conversation.stop_reason or "max_turns"
    catch_up = speakers.student_catches_up
    if tests is not None:
        taught.solutions = await tests.solve_now(catch_up, alone=False)
    out_of_room = conversation.stop_reason == "max_tokens"
    speakers.everybody_catches_up()
    conversation.at = len(conversation.taught) if out_of_room else conversation.at + 1
    if conversation.taught_to_the_end:
        return
    conversation.stop_reason = None
    if tests is not None:
        found = await tests.solve_now(catch_up, alone=True)
        conversation.taught[conversation.at].alone = found
    speakers.everybody_hears_of_the_next()
