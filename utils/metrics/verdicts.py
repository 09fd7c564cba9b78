"""What the verdicts of one conversation say: shares of REJECT, and whether any rejects.

`leaked` and `rejected` are the paper's: shares of REJECT verdicts.  `leaked_any` and `rejected_any`
go by whether any verdict rejects, as the reward does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from utils.records import ConversationRecord, VerdictRecord, counting


def rule_rejects(record: ConversationRecord, rule: str) -> float | None:
    """1.0 if any verdict of the rule is REJECT, 0.0 if all are OK.

    None if the rule was not judged, or if a verdict is missing and none rejects: a missing verdict
    is never an OK.
    """
    return _any_rejects(record.verdicts.get(rule, []))


def _any_rejects(verdicts: Sequence[VerdictRecord]) -> float | None:
    decisions = [v.decision for v in verdicts]
    if "REJECT" in decisions:
        return 1.0
    return None if not decisions or None in decisions else 0.0


def rejecting_share(verdicts: Sequence[VerdictRecord]) -> float | None:
    """Share of REJECT among the verdicts that came.

    Paper, table 2: its shares go in steps of a tenth of a percent for 500 conversations with two
    verdicts each.  A conversation counts once, whatever its number of verdicts.  None without any
    verdict, or if one is missing and none rejects: what is missing is never an OK.
    """
    came = [v.decision for v in verdicts if v.decision is not None]
    rejects = came.count("REJECT")
    if not came or (len(came) < len(verdicts) and not rejects):
        return None
    return rejects / len(came)


def leaked(record: ConversationRecord) -> float | None:
    """The leak rule's share of REJECT verdicts (paper, table 2)."""
    return rejecting_share(record.verdicts.get(record.leak_rule, []))


def leaked_any(record: ConversationRecord) -> float | None:
    """Whether any verdict of the leak rule is REJECT."""
    return rule_rejects(record, record.leak_rule)


def rejected(record: ConversationRecord) -> float | None:
    """The share of REJECT among all verdicts that count."""
    return rejecting_share(counting(record.verdicts))


def rejected_any(record: ConversationRecord) -> float | None:
    """Whether any verdict that counts is REJECT, as the reward has it; None if one is missing."""
    return _any_rejects(counting(record.verdicts))


def missing(record: ConversationRecord) -> float | None:
    """Whether a verdict that counts never came in a readable form; None without any judge."""
    decisions = [v.decision for v in counting(record.verdicts)]
    return float(None in decisions) if decisions else None


def only_reported(records: Iterable[ConversationRecord]) -> list[str]:
    """Rules whose verdicts are recorded and never count, in the order of names."""
    return sorted(
        {rule for r in records for rule, vs in r.verdicts.items() if any(not v.counts for v in vs)}
    )


def names_by_rule(rule: str) -> tuple[str, str]:
    """The metrics of one rule: its share of REJECT verdicts, and whether any of them is."""
    return f"rejected_by_{rule}", f"rejected_any_by_{rule}"


def by_rule(rule: str) -> dict[str, Callable[[ConversationRecord], float | None]]:
    def share(record: ConversationRecord) -> float | None:
        return rejecting_share(record.verdicts.get(rule, []))

    return dict(
        zip(names_by_rule(rule), (share, lambda record: rule_rejects(record, rule)), strict=True)
    )
