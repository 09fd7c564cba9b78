"""Rewards: pure functions of one conversation's record, named, and summed into `total`.

Paper: r = r_sol + (r_ped - 1) * lambda (section 3.4); in hard mode a rejected conversation is worth
-lambda and nothing else.  Values are recorded after their weights, so `total` is their plain sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from config.schema import GenerationSettings, RewardModelSettings, RewardWeights
from utils.records import ConversationRecord, Solution, VerdictRecord
from utils.thinking import thinking_is_well_formed

Verdicts = Mapping[str, Sequence[VerdictRecord]]  # by rule
SolveBy = Literal["answer", "none", "model"]
NAMES = ("solve", "pedagogy", "thinking", "end_of_conversation", "length")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSettings:
    """What the rewards depend on beside the record."""

    penalty: float  # lambda
    hard: bool
    thinking: bool
    solve_by: SolveBy = "answer"
    missing_verdict: Literal["exclude", "reject"] = "exclude"
    reported_rules: frozenset[str] = frozenset()  # recorded, but never a reason to reject
    weights: RewardWeights = field(default_factory=RewardWeights)

    @classmethod
    def of(
        cls, generation: GenerationSettings, reward_model: RewardModelSettings
    ) -> RewardSettings:
        return cls(
            penalty=generation.extra_penalty_for_rejected_judges,
            hard=not generation.ignore_rejected_judge,
            thinking=generation.use_thinking or generation.force_thinking,
            solve_by=solve_by(reward_model),
            missing_verdict=generation.missing_verdict,  # type: ignore[arg-type]
            reported_rules=frozenset(generation.rules_only_reported),
            weights=generation.reward_weights,
        )


def solve_by(reward_model: RewardModelSettings) -> SolveBy:
    """Who decides about solutions: the known answer, nobody, or a model of that name."""
    name = reward_model.model_name_or_path
    return "answer" if name == "Answer" else "none" if name == "None" else "model"


def solve_reward(solutions: Sequence[Solution], settings: RewardSettings) -> float:
    """r_sol: the share of post-dialog solutions that are right (section 3.4); 0 without any."""
    if settings.solve_by == "none" or not solutions:
        return 0.0
    if settings.solve_by == "model":
        return fmean(s.score or 0.0 for s in solutions)
    return fmean(float(s.correct) for s in solutions)


def is_rejected(verdicts_by_rule: Verdicts, settings: RewardSettings) -> bool:
    """Whether any judge of a rule that counts said REJECT (all must accept, section 3.4)."""
    return any(
        verdict.decision == "REJECT"
        or (verdict.decision is None and settings.missing_verdict == "reject")
        for rule, verdicts in verdicts_by_rule.items()
        if rule not in settings.reported_rules
        for verdict in verdicts
    )


def has_missing_verdict(verdicts_by_rule: Verdicts, settings: RewardSettings) -> bool:
    """Whether a verdict that counts never came in a readable form."""
    return any(
        verdict.decision is None
        for rule, verdicts in verdicts_by_rule.items()
        if rule not in settings.reported_rules
        for verdict in verdicts
    )


def thinking_reward(record: ConversationRecord) -> float:
    """Share of tutor turns with well-formed planning; -1 if any turn's planning is malformed.

    Malformed is a turn with a tag that is not one closed block at its head, followed by words; a
    turn without any tag earns nothing and costs nothing.
    """
    turns = [m.content for m in record.messages if m.role == "teacher"]
    if not turns:
        return 0.0
    formed = [thinking_is_well_formed(t) for t in turns]
    tagged = ["<think" in t.lower() or "</think" in t.lower() for t in turns]
    if any(has and not well for has, well in zip(tagged, formed, strict=True)):
        return -1.0
    return sum(formed) / len(turns)


def length_penalty(record: ConversationRecord) -> float:
    """-1 if a tutor turn hit the token cap (once, however many did)."""
    return -float(any(m.role == "teacher" and m.stop_reason == "length" for m in record.messages))


def exclusion(record: ConversationRecord, settings: RewardSettings) -> str | None:
    """Why a conversation is left out of its group, or None."""
    if record.stop_reason == "error":
        return "error"
    if not any(m.role == "teacher" for m in record.messages):
        return "no_tutor_turn"
    if settings.missing_verdict == "exclude" and has_missing_verdict(record.verdicts, settings):
        # A REJECT that did come decides all the same: all judges must accept.
        return None if is_rejected(record.verdicts, settings) else "missing_verdict"
    return None


def rewards(record: ConversationRecord, settings: RewardSettings) -> dict[str, float]:
    """Named rewards and their `total`; empty where the conversation is left out of its group."""
    if exclusion(record, settings) is not None:
        return {}
    rejected = is_rejected(record.verdicts, settings)
    pedagogy = -settings.penalty if rejected else 0.0
    if rejected and settings.hard:
        values = dict.fromkeys(NAMES, 0.0) | {"pedagogy": pedagogy}
    else:
        weights = settings.weights
        values = {
            "solve": weights.solve * solve_reward(record.solutions, settings),
            "pedagogy": pedagogy,
            "thinking": weights.thinking * thinking_reward(record) if settings.thinking else 0.0,
            "end_of_conversation": weights.end_of_conversation
            * float(record.stop_reason == "tutor_ended"),
            "length": weights.length * length_penalty(record),
        }
    values = {name: value + 0.0 for name, value in values.items()}  # no -0.0 in the record
    return values | {"total": sum(values.values())}
