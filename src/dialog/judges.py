"""Judges: a rule and who decides it, a model that reads the transcript or a deterministic function.

A verdict is OK, REJECT or missing.  A model's answer is constrained to a JSON schema where its
engine can, and read by `utils.verdicts.judging.parse_verdict`; an answer that cannot be read is
asked for again, a bounded number of times, and is then missing: never OK.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from config.errors import ConfigError, RunError
from config.functions import call_function, load_function
from config.rules import Rule, active_rules, turn_rules
from config.schema import GenerationSettings
from src.dialog.conversation import Conversation
from src.dialog.views.open_view import open_view
from src.dialog.views.participants import Participant
from src.inference_providers.base import Completion, GaveUp
from src.together import gather_or_cancel
from utils.answers.said.leaks import match_leak, match_leak_in_last_turn
from utils.prompts import Prompt, load_prompt
from utils.records import VerdictRecord
from utils.seeding import keyed_seed
from utils.verdicts.judging import VERDICT_SCHEMA, Verdict, parse_verdict
from utils.verdicts.transcript import indented_messages, render_transcript

Matcher = Callable[[str, str, Sequence[tuple[str, str]]], Verdict]
# `conversation`: the paper's own prompts write its messages out themselves
JUDGE_VARIABLES = frozenset({"problem", "answer", "transcript", "conversation"})
JUDGE_NEEDS = frozenset({"problem", "transcript"})


class Judge(Protocol):
    """One rule; `participant` is its model's, None where a function decides."""

    @property
    def rule(self) -> Rule: ...
    @property
    def participant(self) -> Participant | None: ...

    async def verdicts(self, conversation: Conversation) -> list[VerdictRecord]:
        """Every attempt's verdict on a finished conversation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MatcherJudge:
    """A deterministic rule: one verdict, always the same."""

    rule: Rule
    function: Matcher
    participant: None = None

    async def verdicts(self, conversation: Conversation) -> list[VerdictRecord]:
        problem = conversation.problem
        setting = self.rule.setting
        verdict = call_function(
            self.function, setting, problem.text, problem.answer, conversation.turns
        )
        if not isinstance(verdict, Verdict):
            raise RunError(
                f"{setting}: its function gave {verdict!r}, not a utils.verdicts.judging.Verdict"
            )
        return [VerdictRecord(decision=verdict.decision, reasoning=verdict.reasoning)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudge:
    """A rule put to a model, several times at once."""

    rule: Rule
    prompt: Prompt
    participant: Participant
    attempts: int
    retries: int
    max_tokens: int

    async def verdicts(self, conversation: Conversation) -> list[VerdictRecord]:
        escaped = self.participant.renderer is None
        text = self.prompt.render(
            problem=conversation.problem.text,
            answer=conversation.problem.answer if self.rule.sees_answer else None,
            transcript=render_transcript(conversation.turns, escaped=escaped),
            conversation=indented_messages(conversation.turns, escaped=escaped),
        )
        return list(
            await gather_or_cancel([self._one(conversation, text, i) for i in range(self.attempts)])
        )

    async def _one(self, conversation: Conversation, text: str, attempt: int) -> VerdictRecord:
        view = open_view(self.participant, [{"role": "user", "content": text}])
        raw = ""
        for tried in range(1 + self.retries):
            address = ("turn rule", len(conversation.messages)) if self.rule.of_turn else ("judge",)
            seed = keyed_seed(conversation.seed, *address, self.rule.name, attempt, tried)
            try:
                [answer] = await view.aside(
                    None, n=1, max_tokens=self.max_tokens, seed=seed, json_schema=VERDICT_SCHEMA
                )
            except GaveUp as error:
                return VerdictRecord(decision=None, raw=str(error), attempts=tried + 1)
            spend(conversation, "judge", answer)
            raw = answer.text
            verdict = parse_verdict(self.participant.thinking.in_tags(raw))
            if verdict is not None:
                return VerdictRecord(
                    decision=verdict.decision,
                    reasoning=verdict.reasoning,
                    raw=raw,
                    attempts=tried + 1,
                )
        return VerdictRecord(decision=None, raw=raw, attempts=1 + self.retries)


def spend(conversation: Conversation, role: str, completion: Completion) -> None:
    """Book what one completion used."""
    conversation.spend(
        role,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        cost=completion.cost_usd,
    )


def load_rules(settings: GenerationSettings) -> dict[str, Prompt | Matcher]:
    """What each rule of conversations in force goes by, in the order of their names.

    Those of single turns are loaded and seen to as well.  Raises ConfigError.
    """
    for rule in turn_rules(settings):
        _load(rule)
    return {rule.name: _load(rule) for rule in active_rules(settings)}


def _load(rule: Rule) -> Prompt | Matcher:
    if rule.kind == "matcher":
        return match_leak_in_last_turn if rule.of_turn else match_leak
    if rule.kind == "function":
        return load_function(rule.source, rule.setting)
    return load_prompt(
        rule.source,
        setting=rule.setting,
        variables=JUDGE_VARIABLES,
        needs=JUDGE_NEEDS,
        unless="conversation",
        optional=frozenset(() if rule.sees_answer else ("answer",)),
        samples={"conversation": indented_messages([("teacher", "1")], escaped=False)},
    )


def build_judges(settings: GenerationSettings, participant: Participant | None) -> list[Judge]:
    """One judge per rule, in the order of their names; none where no attempts are asked for."""
    return _judges(active_rules(settings), settings, participant)


def build_turn_judges(settings: GenerationSettings, participant: Participant | None) -> list[Judge]:
    """One judge per rule of single turns, each of which gives one verdict."""
    return _judges(turn_rules(settings), settings, participant)


def _judges(
    rules: Sequence[Rule], settings: GenerationSettings, participant: Participant | None
) -> list[Judge]:
    judges: list[Judge] = []
    for rule in rules:
        source = _load(rule)
        if not isinstance(source, Prompt):
            judges.append(MatcherJudge(rule=rule, function=source))
        elif participant is None:
            raise ConfigError(
                f"judge_model.model_name_or_path: the rule {rule.name} needs a model to judge it"
            )
        else:
            judges.append(_model_judge(rule, source, settings, participant))
    return judges


def _model_judge(
    rule: Rule, prompt: Prompt, settings: GenerationSettings, participant: Participant
) -> ModelJudge:
    return ModelJudge(
        rule=rule,
        prompt=prompt,
        participant=participant,
        attempts=1 if rule.of_turn else settings.number_judge_attempts,
        retries=settings.judge_retries,
        max_tokens=settings.max_tokens_per_judge_attempt,
    )
