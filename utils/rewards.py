"""Rewards: pure functions of one conversation's record, by name, and `total`, their sum.

Paper: r = r_sol + (r_ped - 1) * lambda (section 3.4); in hard mode a rejected conversation is worth
-lambda and nothing else.  Values are recorded after their weights, so `total` is their plain sum.
Which there are is a setting, `generation.rewards`; the paper's five are the functions below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real
from statistics import fmean
from typing import Literal, cast

from config.errors import RunError
from config.functions import call_function, load_function
from config.post_tests import Test, rewarded_test
from config.schema import GenerationSettings, RewardEntry, RewardModelSettings, paper_rewards
from utils.gains import Gain, gain, long_turns
from utils.records import ConversationRecord, Solution, VerdictRecord, counting
from utils.thinking import has_thinking_tags, thinking_is_well_formed

Verdicts = Mapping[str, Sequence[VerdictRecord]]  # by rule
SolveBy = Literal["answer", "none", "model"]
NAMES = tuple(paper_rewards())
PEDAGOGY = "pedagogy"  # all that a rejected conversation gets in hard mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """One reward: its value before the weight is a function of the record and the settings."""

    name: str
    function: Callable[[ConversationRecord, RewardSettings], float]
    weight: float

    def of(self, record: ConversationRecord, settings: RewardSettings) -> float:
        """The weighted value.  A function that raises, or gives no finite number, is a RunError."""
        setting = f"generation.rewards.{self.name}"
        value = call_function(self.function, setting, record, settings)
        if not isinstance(value, Real) or not isfinite(value):
            raise RunError(f"{setting}: its function gave {value!r}, not a finite number")
        return self.weight * float(value) + 0.0  # no -0.0 in the record


def load_rewards(entries: Mapping[str, RewardEntry]) -> tuple[Reward, ...]:
    """The rewards of `generation.rewards`, in its order.  Raises ConfigError."""
    return tuple(
        Reward(
            name=name,
            function=load_function(entry.function, f"generation.rewards.{name}.function"),
            weight=entry.weight,
        )
        for name, entry in entries.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSettings:
    """What the rewards depend on beside the record."""

    penalty: float  # lambda
    hard: bool
    thinking: bool
    solve_by: SolveBy = "answer"
    missing_verdict: Literal["exclude", "reject"] = "exclude"
    test: Test = "same"  # whose result is rewarded
    gain: Gain = "solve"
    long_turn_tokens: int = 0
    long_thinking_tokens: int = 0
    session_reward: Literal["last", "each"] = "last"
    rewards: tuple[Reward, ...] = field(default_factory=lambda: load_rewards(paper_rewards()))

    @classmethod
    def of(
        cls, generation: GenerationSettings, reward_model: RewardModelSettings
    ) -> RewardSettings:
        """Raises ConfigError where a reward's function is not there."""
        return cls(
            penalty=generation.extra_penalty_for_rejected_judges,
            hard=not generation.ignore_rejected_judge,
            thinking=generation.use_thinking or generation.force_thinking,
            solve_by=solve_by(reward_model),
            missing_verdict=generation.missing_verdict,  # type: ignore[arg-type]
            test=rewarded_test(generation),
            gain=cast(Gain, generation.gain),
            long_turn_tokens=generation.long_turn_tokens,
            long_thinking_tokens=generation.long_thinking_tokens,
            session_reward=generation.session_reward,  # type: ignore[arg-type]
            rewards=load_rewards(generation.rewards),
        )


def solve_by(reward_model: RewardModelSettings) -> SolveBy:
    """Who decides about solutions: the known answer, nobody, or a model of that name."""
    name = reward_model.model_name_or_path
    return "answer" if name == "Answer" else "none" if name == "None" else "model"


# -- the paper's five ------------------------------------------------------------------------


def solve(record: ConversationRecord, settings: RewardSettings) -> float:
    """r_sol: the share of post-dialog solutions that are right (section 3.4); 0 without any.

    Of the test that is rewarded; less the rate before, where the settings say so.  Long turns take
    their part off what is above 0.  Of a session: the last problem, which nobody taught; or the
    mean over those taught, each after its talk (`generation.session_reward`).
    """
    values = [
        0.0 if after is None else gain(settings.gain, before, after)
        for before, after in _rewarded(record, settings)
    ]
    value = fmean(values)
    if value <= 0:
        return value
    limits = settings.long_turn_tokens, settings.long_thinking_tokens
    return value * long_turns(record.messages, *limits)


def _rewarded(
    record: ConversationRecord, settings: RewardSettings
) -> list[tuple[float | None, float | None]]:
    """Rates before and after of each test whose result is rewarded."""
    tests = [record.tested(settings.test)]
    if settings.session_reward == "each" and record.session:
        tests = [(taught.alone, taught.solutions) for taught in record.session]
    return [(_rate(before, settings), _rate(after, settings)) for before, after in tests]


def _rate(solutions: Sequence[Solution], settings: RewardSettings) -> float | None:
    """Mean of what decides about solutions; None where nobody does, or there are none."""
    if settings.solve_by == "none" or not solutions:
        return None
    if settings.solve_by == "model":
        return fmean(s.score or 0.0 for s in solutions)
    return fmean(float(s.correct) for s in solutions)


def pedagogy(record: ConversationRecord, settings: RewardSettings) -> float:
    """(r_ped - 1) * lambda: -lambda if a judge rejects, else 0 (section 3.4)."""
    return -settings.penalty if is_rejected(record.verdicts, settings) else 0.0


def thinking(record: ConversationRecord, settings: RewardSettings) -> float:
    """Share of tutor turns whose planning is well formed, less 1 if that of any is malformed.

    Seven of eight well formed: 7/8 - 1, times the weight.  A turn without any tag earns nothing
    and costs nothing.  0 where the tutor is not asked to plan.
    """
    turns = [m.content for m in record.messages if m.role == "teacher"]
    if not settings.thinking or not turns:
        return 0.0
    formed = [thinking_is_well_formed(t) for t in turns]
    tagged = [has_thinking_tags(t) for t in turns]
    malformed = any(has and not well for has, well in zip(tagged, formed, strict=True))
    return sum(formed) / len(turns) - float(malformed)


def end_of_conversation(record: ConversationRecord, settings: RewardSettings) -> float:
    """1 if the tutor ended the conversation; of a session, the share of its talks that it did."""
    endings = [taught.stop_reason for taught in record.session] or [record.stop_reason]
    return fmean(float(ending == "tutor_ended") for ending in endings)


def length(record: ConversationRecord, settings: RewardSettings) -> float:
    """-1 if a tutor turn hit its own token cap (once, however many did).

    A turn that the conversation's budget cut short is no such turn.
    """
    return -float(
        any(
            m.role == "teacher" and m.stop_reason == "length" and not m.out_of_room
            for m in record.messages
        )
    )


# -- what they come to -----------------------------------------------------------------------


def is_rejected(verdicts_by_rule: Verdicts, settings: RewardSettings) -> bool:
    """Whether any judge of a rule that counts said REJECT (all must accept, section 3.4)."""
    return any(
        verdict.decision == "REJECT"
        or (verdict.decision is None and settings.missing_verdict == "reject")
        for verdict in counting(verdicts_by_rule)
    )


def has_missing_verdict(verdicts_by_rule: Verdicts) -> bool:
    """Whether a verdict that counts never came in a readable form."""
    return any(verdict.decision is None for verdict in counting(verdicts_by_rule))


def exclusion(record: ConversationRecord, settings: RewardSettings) -> str | None:
    """Why a conversation is left out of its group, or None."""
    if record.stop_reason == "error":
        return "error"
    if not any(m.role == "teacher" for m in record.messages):
        return "no_tutor_turn"
    # A REJECT that did come decides all the same: all judges must accept.
    missing = has_missing_verdict(record.verdicts) and not is_rejected(record.verdicts, settings)
    if settings.missing_verdict == "exclude" and missing:
        return "missing_verdict"
    return "no_pre_test" if _lacks_pre_test(record, settings) else None


def _lacks_pre_test(record: ConversationRecord, settings: RewardSettings) -> bool:
    """Whether what was gained is rewarded, and nobody knows from where."""
    unknown = any(
        after is not None and before is None for before, after in _rewarded(record, settings)
    )
    flat = settings.hard and is_rejected(record.verdicts, settings)
    return settings.gain != "solve" and unknown and not flat


def rewards(record: ConversationRecord, settings: RewardSettings) -> dict[str, float]:
    """Named rewards and their `total`; empty where the conversation is left out of its group.

    Raises RunError where a reward's function fails: nothing becomes 0 in silence.
    """
    if exclusion(record, settings) is not None:
        return {}
    flat = settings.hard and is_rejected(record.verdicts, settings)
    values = {
        reward.name: 0.0 if flat and reward.name != PEDAGOGY else reward.of(record, settings)
        for reward in settings.rewards
    }
    return values | {"total": sum(values.values())}
