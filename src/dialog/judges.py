"""Judges: a rule and who decides it, a model that reads the transcript or a deterministic function.

A verdict is OK, REJECT or missing.  A model's answer is constrained to a JSON schema where its
engine can, and read by `utils.verdicts.judging.parse_verdict`; an answer that cannot be read is
asked for again, a bounded number of times, and is then missing: never OK.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from config.errors import ConfigError, RunError
from config.roles import MATCHER, is_code
from config.schema import GenerationSettings
from src.dialog.conversation import Conversation
from src.dialog.participants import Participant
from src.dialog.views import open_view
from src.inference_providers.base import Completion, GaveUp
from src.together import gather_or_cancel
from utils.answers.leaks import match_leak
from utils.prompts import Prompt, load_prompt
from utils.records import VerdictRecord
from utils.seeding import keyed_seed
from utils.verdicts.judging import VERDICT_SCHEMA, Verdict, parse_verdict
from utils.verdicts.rules import active_rules
from utils.verdicts.transcript import indented_messages, render_transcript

Matcher = Callable[[str, str, Sequence[tuple[str, str]]], Verdict]
# `conversation`: the paper's own prompts write its messages out themselves
JUDGE_VARIABLES = frozenset({"problem", "answer", "transcript", "conversation"})
JUDGE_NEEDS = frozenset({"problem", "transcript"})


class Judge(Protocol):
    """One rule; `participant` is its model's, None where a function decides."""

    @property
    def rule(self) -> str: ...
    @property
    def participant(self) -> Participant | None: ...

    async def verdicts(self, conversation: Conversation) -> list[VerdictRecord]:
        """Every attempt's verdict on a finished conversation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MatcherJudge:
    """A deterministic rule: one verdict, always the same."""

    rule: str
    function: Matcher
    participant: None = None

    async def verdicts(self, conversation: Conversation) -> list[VerdictRecord]:
        problem = conversation.problem
        try:
            verdict = self.function(problem.text, problem.answer, conversation.turns)
        except Exception as error:  # a user's own code: whatever it is, it is said where it stands
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise RunError(f"{_setting(self.rule)}: its function raised {reason}") from error
        if not isinstance(verdict, Verdict):
            raise RunError(
                f"{_setting(self.rule)}: its function gave {verdict!r}, "
                "not a utils.verdicts.judging.Verdict"
            )
        return [VerdictRecord(decision=verdict.decision, reasoning=verdict.reasoning)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudge:
    """A rule put to a model, several times at once."""

    rule: str
    prompt: Prompt
    participant: Participant
    attempts: int
    retries: int
    max_tokens: int
    sees_answer: bool

    async def verdicts(self, conversation: Conversation) -> list[VerdictRecord]:
        escaped = self.participant.renderer is None
        text = self.prompt.render(
            problem=conversation.problem.text,
            answer=conversation.problem.answer if self.sees_answer else None,
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
            seed = keyed_seed(conversation.seed, "judge", self.rule, attempt, tried)
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


def load_matcher(rule: str, source: str) -> Matcher:
    """The function behind a deterministic rule."""
    if source == MATCHER:
        return match_leak
    module, _, name = source.partition(":")
    try:
        function: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(f"{_setting(rule)}: {source}: {error}") from None
    if not callable(function):
        raise ConfigError(f"{_setting(rule)}: {source} is no function")
    return function  # type: ignore[no-any-return]


def _setting(rule: str) -> str:
    return f"generation.judges_rules_prompts_paths.{rule}"


def load_rules(settings: GenerationSettings) -> dict[str, Prompt | Matcher]:
    """What each rule in force goes by, in the order of their names.  Raises ConfigError."""
    return {
        rule: load_matcher(rule, source)
        if is_code(source)
        else load_prompt(
            source,
            setting=_setting(rule),
            variables=JUDGE_VARIABLES,
            needs=JUDGE_NEEDS,
            unless="conversation",
            optional=frozenset(() if _sees_answer(rule, settings) else ("answer",)),
            samples={"conversation": indented_messages([("teacher", "1")], escaped=False)},
        )
        for rule, source in active_rules(settings).items()
    }


def _sees_answer(rule: str, settings: GenerationSettings) -> bool:
    return rule in settings.rules_that_see_the_answer


def build_judges(settings: GenerationSettings, participant: Participant | None) -> list[Judge]:
    """One judge per rule, in the order of their names; none where no attempts are asked for."""
    judges: list[Judge] = []
    for rule, source in load_rules(settings).items():
        if not isinstance(source, Prompt):
            judges.append(MatcherJudge(rule=rule, function=source))
        elif participant is None:
            raise ConfigError(
                f"judge_model.model_name_or_path: the rule {rule} needs a model to judge it"
            )
        else:
            judges.append(_model_judge(rule, source, settings, participant))
    return judges


def _model_judge(
    rule: str, prompt: Prompt, settings: GenerationSettings, participant: Participant
) -> ModelJudge:
    return ModelJudge(
        rule=rule,
        prompt=prompt,
        participant=participant,
        attempts=settings.number_judge_attempts,
        retries=settings.judge_retries,
        max_tokens=settings.max_tokens_per_judge_attempt,
        sees_answer=_sees_answer(rule, settings),
    )
