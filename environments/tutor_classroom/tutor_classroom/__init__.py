"""A simulated classroom as a verifiers environment: `vf-eval tutor-classroom`, or prime-rl."""

from tutor_classroom.repository_path import import_from_repository

import_from_repository()

from tutor_classroom.environment import ClassroomConfig, TutorClassroom, load_environment  # noqa: E402
from tutor_classroom.harness import TutorHarness  # noqa: E402
from tutor_classroom.taskset import (  # noqa: E402
    ClassroomTasksetConfig,
    ProblemTask,
    ProblemTaskset,
)

__all__ = [
    "ClassroomConfig",
    "ClassroomTasksetConfig",
    "ProblemTask",
    "ProblemTaskset",
    "TutorClassroom",
    "TutorHarness",
    "load_environment",
]
