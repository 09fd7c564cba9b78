"""What rules of single turns found, as numbers of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from utils.records import ConversationRecord, Message

Metric = Callable[[ConversationRecord], float | None]


def _turns_that(judged: Callable[[Message], bool | None]) -> Metric:
    """The share of those tutor turns that were judged; None where none was."""

    def share(record: ConversationRecord) -> float | None:
        found = [judged(m) for m in record.messages if m.role == "teacher"]
        known = [float(one) for one in found if one is not None]
        return sum(known) / len(known) if known else None

    return share


def _failed(message: Message) -> bool | None:
    return message.failed if message.verdicts else None


def _failed_by(rule: str) -> Callable[[Message], bool | None]:
    def failed(message: Message) -> bool | None:
        verdict = message.verdicts.get(rule)
        return None if verdict is None else verdict.decision != "OK"

    return failed


def turn_metrics(records: Sequence[ConversationRecord]) -> dict[str, Metric]:
    """Shares of tutor turns that failed, where turns were judged: `turns_failed`, and by rule."""
    rules = sorted({rule for r in records for m in r.messages for rule in m.verdicts})
    if not rules:
        return {}
    found: dict[str, Metric] = {"turns_failed": _turns_that(_failed)}
    found["turns_withheld"] = _turns_that(lambda m: m.withheld if m.verdicts else None)
    return found | {f"turns_failed_by_{rule}": _turns_that(_failed_by(rule)) for rule in rules}
