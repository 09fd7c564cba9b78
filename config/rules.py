"""Judge rules: all that the settings say of each, in one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from config.functions import is_function
from config.schema import GenerationSettings

MATCHER = "matcher"  # the deterministic leak matcher (utils/answers/said/leaks.py)
OFF = "none"  # takes a rule of the defaults away


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule that conversations are judged by."""

    name: str
    source: str  # a prompt file, `matcher`, or `module:function`
    sees_answer: bool  # whether its prompt is given the known answer; functions always are
    counts: bool  # false: its verdicts are recorded, and never a reason to reject
    of_turn: bool = False  # judges each tutor turn at once, not the whole conversation

    @property
    def kind(self) -> Literal["prompt", "matcher", "function"]:
        """Who decides: a model that reads a prompt, the leak matcher, or a user's function."""
        if self.source == MATCHER:
            return "matcher"
        return "function" if is_function(self.source) else "prompt"

    @property
    def setting(self) -> str:
        group = "turn_rules" if self.of_turn else "judges_rules_prompts_paths"
        return f"generation.{group}.{self.name}"


def named_rules(generation: GenerationSettings) -> tuple[Rule, ...]:
    """Every rule of whole conversations that the settings name, in the order of names."""
    return _rules(generation, generation.judges_rules_prompts_paths, of_turn=False)


def turn_rules(generation: GenerationSettings) -> tuple[Rule, ...]:
    """The rules that each tutor turn is judged by, in the order of names."""
    return _rules(generation, generation.turn_rules, of_turn=True)


def _rules(
    generation: GenerationSettings, sources: Mapping[str, str], *, of_turn: bool
) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            name=name,
            source=source,
            sees_answer=name in generation.rules_that_see_the_answer,
            counts=name not in generation.rules_only_reported,
            of_turn=of_turn,
        )
        for name, source in sorted(sources.items())
        if source.lower() != OFF
    )


def active_rules(generation: GenerationSettings) -> tuple[Rule, ...]:
    """The rules that verdicts on whole conversations are asked for.

    None where there are no attempts (`generation.number_judge_attempts=0`, lambda = 0).
    """
    return named_rules(generation) if generation.number_judge_attempts else ()


def prompts_among(rules: Iterable[Rule]) -> int:
    """How many of them a judge model reads."""
    return sum(rule.kind == "prompt" for rule in rules)


def needs_judge(generation: GenerationSettings) -> bool:
    """Whether any verdict is asked of a judge model."""
    return prompts_among([*active_rules(generation), *turn_rules(generation)]) > 0
