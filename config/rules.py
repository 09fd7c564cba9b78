"""Judge rules: all that the settings say of each, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.functions import is_function
from config.schema import GenerationSettings

MATCHER = "matcher"  # the deterministic leak matcher (utils/answers/leaks.py)
OFF = "none"  # takes a rule of the defaults away


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule that conversations are judged by."""

    name: str
    source: str  # a prompt file, `matcher`, or `module:function`
    sees_answer: bool  # whether its prompt is given the known answer; functions always are
    counts: bool  # false: its verdicts are recorded, and never a reason to reject
    is_leak: bool  # THE leak rule, which `leaked` is measured by

    @property
    def kind(self) -> Literal["prompt", "matcher", "function"]:
        """Who decides: a model that reads a prompt, the leak matcher, or a user's function."""
        if self.source == MATCHER:
            return "matcher"
        return "function" if is_function(self.source) else "prompt"

    @property
    def setting(self) -> str:
        return f"generation.judges_rules_prompts_paths.{self.name}"


def named_rules(generation: GenerationSettings) -> tuple[Rule, ...]:
    """Every rule that the settings name, in the order of names."""
    return tuple(
        Rule(
            name=name,
            source=source,
            sees_answer=name in generation.rules_that_see_the_answer,
            counts=name not in generation.rules_only_reported,
            is_leak=name == generation.leak_rule,
        )
        for name, source in sorted(generation.judges_rules_prompts_paths.items())
        if source.lower() != OFF
    )


def active_rules(generation: GenerationSettings) -> tuple[Rule, ...]:
    """The rules that verdicts are asked for.

    None where there are no attempts (`generation.number_judge_attempts=0`, lambda = 0).
    """
    return named_rules(generation) if generation.number_judge_attempts else ()


def needs_judge(generation: GenerationSettings) -> bool:
    """Whether any verdict is asked of a judge model."""
    return any(rule.kind == "prompt" for rule in active_rules(generation))
