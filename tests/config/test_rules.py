"""One record for a judge rule: who decides, what it sees, whether it counts."""

from __future__ import annotations

from config.rules import active_rules, named_rules, needs_judge
from config.schema import GenerationSettings


def test_all_that_the_settings_say_of_each_rule() -> None:
    settings = GenerationSettings(
        judges_rules_prompts_paths={
            "teaches": "prompts/teaches.txt",
            "leaks": "matcher",
            "counts_words": "my_rules:words",
            "gone": "none",
        },
        rules_that_see_the_answer=["teaches"],
        rules_only_reported=["counts_words"],
        leak_rule="leaks",
    )
    rules = {rule.name: rule for rule in named_rules(settings)}
    assert list(rules) == ["counts_words", "leaks", "teaches"]
    assert [rule.kind for rule in rules.values()] == ["function", "matcher", "prompt"]
    assert [rule.counts for rule in rules.values()] == [False, True, True]
    assert [rule.sees_answer for rule in rules.values()] == [False, False, True]
    assert rules["teaches"].setting == "generation.judges_rules_prompts_paths.teaches"


def test_without_attempts_no_rule_is_in_force() -> None:
    assert active_rules(GenerationSettings(number_judge_attempts=0)) == ()
    assert not needs_judge(GenerationSettings(number_judge_attempts=0))


def test_only_prompts_need_a_judge() -> None:
    code = {"a": "matcher", "b": "my_rules:words"}
    assert not needs_judge(GenerationSettings(judges_rules_prompts_paths=code))
    assert needs_judge(GenerationSettings(judges_rules_prompts_paths=code | {"c": "c.txt"}))
