"""A session as conversations about one problem each, for whatever looks at one problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from utils.records import ConversationRecord


def talks(record: ConversationRecord) -> list[ConversationRecord]:
    """The talk about each problem that a session came to; a conversation without one: itself.

    A talk has its own problem, messages, verdicts and solutions (those before any help are its
    `initial_solutions`); rewards, costs and tokens are the whole session's and stay there.
    """
    if not record.session:
        return [record]
    return list(_talks(record))


def all_talks(records: Iterable[ConversationRecord]) -> Iterator[ConversationRecord]:
    """The talks of all of them, in order."""
    for record in records:
        yield from talks(record)


def _talks(record: ConversationRecord) -> Iterator[ConversationRecord]:
    scores = iter(record.ped_rm)
    for position, taught in enumerate(record.session):
        if taught.stop_reason is None:
            return
        messages = [m for m in record.messages if m.problem == position]
        heard = sum(m.role == "teacher" and m.heard for m in messages)
        verdicts = {
            rule: [v for v in found if v.problem == position]
            for rule, found in record.verdicts.items()
        }
        yield record.model_copy(
            update={
                "problem_id": taught.problem_id,
                "problem": taught.problem,
                "answer": taught.answer,
                "extra": {},
                "messages": messages,
                "stop_reason": taught.stop_reason,
                "verdicts": {rule: found for rule, found in verdicts.items() if found},
                "initial_solutions": taught.alone,
                "solutions": taught.solutions,
                "session": [],
                "misconception_answer": None,
                "accepted_only": False,
                "ped_rm": [s for _, s in zip(range(heard), scores, strict=False)],
                "trajectory": None,
                "timing": {},
                "usage": {},
                "rewards": {},
            }
        )
