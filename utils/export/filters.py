"""Which conversations are exported: the filters of the report's browser, by the same names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from utils.gains import rate_afterwards
from utils.metrics.verdicts import leaked_any, missing, rejected_any
from utils.records import ConversationRecord

SOLVED: dict[str, Callable[[float], bool]] = {
    "all": lambda rate: rate == 1,
    "half": lambda rate: rate >= 0.5,
    "some": lambda rate: 0 < rate < 1,
    "none": lambda rate: rate == 0,
}
ACCEPTED = ("accepted", "rejected", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """None or "" lets everything through; a value that a record does not have lets nothing."""

    split: str | None = None
    step: int | None = None
    type: str | None = None
    source: str | None = None
    stop: str | None = None
    leaked: str | None = None  # yes, no
    accepted: str | None = None  # one of ACCEPTED
    solved: str | None = None  # one of SOLVED
    least: float | None = None  # total reward
    most: float | None = None
    text: str = ""  # words that somebody said, whatever their case

    def lets_through(self, record: ConversationRecord) -> bool:
        """Whether this conversation is wanted."""
        plain = (
            (self.split, record.split),
            (self.step, record.step),
            (self.type, record.type),
            (self.source, record.source),
            (self.stop, record.stop_reason),
        )
        return (
            all(wanted is None or wanted == value for wanted, value in plain)
            and self._judged(record)
            and self._scored(record)
            and (not self.text or _says(record, self.text.casefold()))
        )

    def _judged(self, record: ConversationRecord) -> bool:
        if self.leaked and leaked_any(record) != {"yes": 1.0, "no": 0.0}[self.leaked]:
            return False
        match self.accepted:
            case "accepted":
                return rejected_any(record) == 0.0
            case "rejected":
                return rejected_any(record) == 1.0
            case "missing":
                return missing(record) == 1.0
            case _:
                return True

    def _scored(self, record: ConversationRecord) -> bool:
        rate, reward = rate_afterwards(record), record.rewards.get("total")
        if self.solved and (rate is None or not SOLVED[self.solved](rate)):
            return False
        if self.least is not None and (reward is None or reward < self.least):
            return False
        return self.most is None or (reward is not None and reward <= self.most)


def _says(record: ConversationRecord, words: str) -> bool:
    said = [record.problem, *(m.content for m in record.messages)]
    return any(words in text.casefold() for text in said)
