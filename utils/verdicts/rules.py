"""Judge rules by name, and who decides each: a prompt for a model, or a function."""

from __future__ import annotations

from config.schema import GenerationSettings

OFF = "none"  # takes a rule of the defaults away


def active_rules(generation: GenerationSettings) -> dict[str, str]:
    """Rule -> prompt file, `matcher` or `module:function`, in the order of names.

    Empty where no verdicts are asked for (`generation.number_judge_attempts=0`, lambda = 0).
    """
    if generation.number_judge_attempts == 0:
        return {}
    rules = generation.judges_rules_prompts_paths
    return {name: rules[name] for name in sorted(rules) if rules[name] != OFF}
