"""Which problems a student solves before and after a conversation, and which result is rewarded."""

from __future__ import annotations

from typing import Literal, cast

from config.errors import ConfigError
from config.schema import EvalConfig, GenerationSettings, TrainRLConfig
from config.schema.classroom import POST_TESTS

Test = Literal["same", "transfer"]


def post_tests_of(generation: GenerationSettings) -> tuple[Test, ...]:
    """The tests of each conversation, in order."""
    return POST_TESTS[generation.post_test]


def wants_transfer(generation: GenerationSettings) -> bool:
    """Whether every problem needs another one of its kind."""
    return "transfer" in post_tests_of(generation)


def rewarded_test(generation: GenerationSettings) -> Test:
    """The test whose result is rewarded."""
    tests = post_tests_of(generation)
    return tests[0] if len(tests) == 1 else cast(Test, generation.rewarded_test)


def only_same(generation: GenerationSettings) -> None:
    """Have the problem itself solved again, and its rate be what counts, in place."""
    generation.post_test, generation.gain = "same", "solve"


def check_post_test(settings: TrainRLConfig | EvalConfig) -> None:
    """Raises ConfigError where a test, or what it is compared with, would never be there."""
    generation = settings.generation
    if wants_transfer(generation) and not generation.number_student_attempts:
        raise ConfigError(
            f"generation.post_test: {generation.post_test} needs "
            "generation.number_student_attempts, which is 0"
        )
    later = isinstance(settings, EvalConfig) and settings.recompute_initial_attempts
    if generation.gain != "solve" and not generation.number_initial_attempts and not later:
        raise ConfigError(
            f"generation.gain: {generation.gain} compares with the solutions before; it needs "
            "generation.number_initial_attempts, which is 0"
        )
    if (
        isinstance(settings, EvalConfig)
        and settings.eval.control == "retry"
        and "same" not in post_tests_of(generation)
    ):
        raise ConfigError(
            "eval.control: retry tries the problem itself again; it needs "
            "generation.post_test=same or both"
        )
