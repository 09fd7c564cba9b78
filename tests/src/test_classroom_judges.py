"""Judges in scripted conversations: what they see, what counts, and what is missing or refused."""

from __future__ import annotations

import pytest

from config.errors import ConfigError, RunError
from src.dialog.judges import build_judges
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.src.scripted_classroom import JUDGED, PROBLEMS, classroom, generation, run_all, says
from utils.data.problems import Problem


def test_verdicts_of_a_reported_rule_do_not_count() -> None:
    rules = {"does_not_leak_answer": "matcher", "says_it": "matcher"}
    settings_ = generation(
        judges_rules_prompts_paths=rules,
        rules_only_reported=["does_not_leak_answer", "says_it"],
        leak_rule="says_it",
    )
    for record in run_all(classroom(settings_, says("It is 4."), says("Hm.")), PROBLEMS[3:4]):
        assert [v.counts for vs in record.verdicts.values() for v in vs] == [False, False]
        assert record.leak_rule == "says_it" and record.rewards["pedagogy"] == 0.0


def test_unreadable_verdicts_are_asked_again_and_then_missing() -> None:
    def answer(ask: Ask) -> str:
        return "I like it!" if ask.sampling.seed % 2 else '{"reasoning": "", "decision": "OK"}'

    judge = ScriptedProvider(answer)
    made = generation(judges_rules_prompts_paths=JUDGED, judge_retries=1)
    records = run_all(classroom(made, says("Go on."), says("Yes."), judge), samples=4)
    decisions = [v for r in records for rule in r.verdicts.values() for v in rule]
    assert {v.decision for v in decisions} == {"OK", None}
    assert all(len(r.verdicts[rule]) == 2 for r in records for rule in JUDGED)
    assert all(v.attempts == 2 and v.raw == "I like it!" for v in decisions if not v.decision)
    for record in records:
        lost = any(v.decision is None for vs in record.verdicts.values() for v in vs)
        assert record.excluded == ("missing_verdict" if lost else None)
        assert bool(record.rewards) is not lost


def test_who_sees_the_answer_and_that_rules_are_ordered() -> None:
    judge = says('{"reasoning": "", "decision": "OK"}')
    made = generation(
        judges_rules_prompts_paths=JUDGED,
        number_judge_attempts=1,
        rules_that_see_the_answer=["does_not_leak_answer"],
    )
    problem = Problem(id="x", text="Which?", answer="4711")
    [record] = run_all(classroom(made, says("Go on."), says("Yes."), judge), [problem], samples=1)
    assert list(record.verdicts) == sorted(JUDGED)
    assert all("Which?" in ask.text for ask in judge.calls)
    sees = {"must teach": False, "must not give": True}
    for ask in judge.calls:
        [expected] = [value for words, value in sees.items() if words in ask.text]
        assert ("4711" in ask.text) is expected


def broken(problem: str, answer: str, turns: object) -> None:
    """A judge of a user's own that raises, or gives no verdict."""
    if problem == "raise":
        raise KeyError("no such key")


@pytest.mark.parametrize(
    ("problem", "words"), [("raise", "raised KeyError: 'no such key'"), ("give", "gave None, not")]
)
def test_a_function_that_judges_badly_is_named(problem: str, words: str) -> None:
    made = generation(judges_rules_prompts_paths={"mine": f"{__name__}:broken"})
    with pytest.raises(
        RunError, match=r"^generation\.judges_rules_prompts_paths\.mine: "
    ) as caught:
        run_all(
            classroom(made, says("Go on."), says("Yes.")),
            [Problem(id="x", text=problem, answer="1")],
        )
    assert words in str(caught.value)


@pytest.mark.parametrize("source", ["tests.fakes:SYSTEM", ":f", "no.such:f", "json:x"])
def test_what_is_no_function_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=r"^generation\.judges_rules_prompts_paths\.mine: "):
        build_judges(generation(judges_rules_prompts_paths={"mine": source}), None)


def test_no_attempts_means_no_judges() -> None:
    made = generation(number_judge_attempts=0)
    for record in run_all(classroom(made, says("It is 4."), says("Yes.")), PROBLEMS[3:4]):
        assert record.verdicts == {} and record.rewards["pedagogy"] == 0.0
