"""A conversation as a chat with flat columns beside it: what all formats are made from."""

from __future__ import annotations

from typing import Any

from utils.metrics.conversation import delta, solve_after, solve_before
from utils.metrics.post_tests import OF_TRANSFER
from utils.metrics.verdicts import leaked, leaked_any, missing, rejected, rejected_any
from utils.records import ConversationRecord, Message
from utils.report.conversations import hidden_text

ROLES = {"teacher": "assistant", "student": "user"}


def chat(record: ConversationRecord) -> list[dict[str, str]]:
    """What was said, the tutor as `assistant`, students as `user`.

    A tutor's hidden planning is `reasoning_content`, which chat templates leave out or know how to
    write; a peer's name is `name`.
    """
    return [_message(message) for message in record.messages]


def _message(message: Message) -> dict[str, str]:
    entry = {"role": ROLES[message.role], "content": message.visible}
    if message.content != message.visible and (
        hidden := hidden_text(message.content, message.visible)
    ):
        entry["reasoning_content"] = hidden
    if message.speaker:
        entry["name"] = message.speaker
    return entry


def identity(record: ConversationRecord, run: str) -> str:
    """What names a conversation among several runs."""
    return f"{run}/{record.split}/{record.step}/{record.problem_id}/{record.sample}"


def scores(record: ConversationRecord) -> dict[str, float | None]:
    """The numbers of a conversation; None where the record cannot say."""
    named = {
        "solve_before": solve_before(record),
        "solve_after": solve_after(record),
        "delta": delta(record),
        "leaked": leaked(record),
        "leaked_any": leaked_any(record),
        "rejected": rejected(record),
        "rejected_any": rejected_any(record),
        "missing": missing(record),
        "reward": record.rewards.get("total"),
    }
    if record.transfer is not None:
        named |= {name: metric(record) for name, metric in OF_TRANSFER.items()}
    parts = {f"reward_{k}": v for k, v in record.rewards.items() if k != "total"}
    return named | parts


def verdicts(record: ConversationRecord) -> dict[str, str | None]:
    """One word a rule: REJECT if any verdict is, OK if all are, None where one is missing."""
    found: dict[str, str | None] = {}
    for rule, given in record.verdicts.items():
        decisions = {verdict.decision for verdict in given}
        found[f"verdict_{rule}"] = (
            "REJECT" if "REJECT" in decisions else "OK" if decisions == {"OK"} else None
        )
    return found


def _transfer(record: ConversationRecord) -> dict[str, Any]:
    """The other problem of a transfer test, where there was one."""
    found = record.transfer
    if found is None:
        return {}
    return {
        "transfer_problem": found.problem,
        "transfer_answer": found.answer,
        "transfer_answers_before": [s.answer for s in found.initial_solutions],
        "transfer_answers_after": [s.answer for s in found.solutions],
    }


def row(record: ConversationRecord, run: str) -> dict[str, Any]:
    """The whole line of a data set."""
    return {
        "id": identity(record, run),
        "messages": chat(record),
        "run": run,
        "split": record.split,
        "step": record.step,
        "problem_id": record.problem_id,
        "sample": record.sample,
        "problem": record.problem,
        "answer": record.answer,
        "source": record.source,
        "type": record.type,
        "student_name": record.student_name,
        "student_persona": record.student_persona,
        "stop_reason": record.stop_reason,
        "error": record.error,
        "answers_before": [s.answer for s in record.initial_solutions],
        "answers_after": [s.answer for s in record.solutions],
        **_transfer(record),
        **scores(record),
        **verdicts(record),
    }
