"""Which settings of sessions (several problems in one conversation) can be had together."""

from __future__ import annotations

from typing import Any

from config.errors import ConfigError
from config.post_tests import post_tests_of
from config.schema import EvalConfig, GenerationSettings, TrainRLConfig

_K = "generation.problems_per_session"


def talks_of(generation: GenerationSettings) -> int:
    """Problems that the tutor talks about in one conversation."""
    return max(1, generation.problems_per_session - 1)


def solved_in(generation: GenerationSettings) -> int:
    """How often a conversation's student solves a problem, several times each.

    Of a session: each taught one after its talk, and all but the first alone.
    """
    if generation.problems_per_session == 1:
        return len(post_tests_of(generation))
    return 2 * talks_of(generation)


def solved_before(generation: GenerationSettings) -> int:
    """The same of what is solved beforehand, once a problem and student."""
    return len(post_tests_of(generation)) + (generation.problems_per_session > 1)


def check_sessions(settings: TrainRLConfig | EvalConfig) -> None:
    """Raises ConfigError where sessions meet a setting that knows one problem only."""
    generation = settings.generation
    if generation.problems_per_session == 1:
        if generation.session_reward != "last":
            raise ConfigError(
                f"generation.session_reward: {generation.session_reward} needs {_K} above 1"
            )
        return
    if generation.post_test != "same":
        raise ConfigError(
            f"generation.post_test: {generation.post_test} cannot be had with {_K} above 1: the "
            "last problem of a session is the transfer test"
        )
    task: Any = getattr(settings, "eval", None)
    if task is not None and task.task != "classroom":
        raise ConfigError(f"{_K}: eval.task={task.task} holds conversations about one problem")
