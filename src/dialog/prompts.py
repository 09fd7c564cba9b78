"""The classroom's prompts: which files there are, and what each may speak of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from config.schema import GenerationSettings
from config.validate import NO_PROMPT, PERSONA
from src.dialog.students import load_students
from utils.prompts import TUTOR_VARIABLES, Prompt, load_prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Every prompt of the classroom, loaded and checked."""

    teacher: Prompt
    tutor_opening: Prompt
    personas: dict[str, Prompt]
    peers: dict[str, Prompt]
    student_initial_attempt: Prompt  # opens an "attempted" conversation
    complaints: Prompt  # a line each
    attempt_wrapper: Prompt
    student_attempt: Prompt  # asks for the bare problem, before any conversation
    final_system: Prompt | None  # None: the persona's text stays in force
    final: Prompt
    transfer: Prompt  # asks for another problem, after the conversation
    session_next_tutor: Prompt  # the next problem of a session, as the tutor hears of it
    session_next_student: Prompt
    session_alone: Prompt  # asks for a problem of a session before any help

    @classmethod
    def load(cls, settings: GenerationSettings) -> Prompts:
        """Raises ConfigError naming the setting of a prompt that cannot be used."""
        student, optional = frozenset({"problem", "student_name"}), frozenset({"student_name"})

        def load(key: str, variables: frozenset[str], *needs: str) -> Prompt:
            return load_prompt(
                getattr(settings, key),
                setting=f"generation.{key}",
                variables=variables,
                needs=frozenset(needs),
                optional=optional & variables,
            )

        def persona(path: str, setting: str, more: Collection[str] = ()) -> Prompt:
            return load_prompt(
                path, setting=setting, variables=student | frozenset(more), optional=optional
            )

        # a tutor without a system message learns of the problem from the user's first one
        own = settings.teacher_prompt_path == NO_PROMPT
        return cls(
            teacher=Prompt(NO_PROMPT, "", "generation.teacher_prompt_path")
            if own
            else load("teacher_prompt_path", TUTOR_VARIABLES, "problem"),
            tutor_opening=load("tutor_opening_prompt_path", student, *["problem"] * own),
            personas={
                name: persona(policy.student.persona, policy.student.setting, policy.told)
                for name, policy in load_students(settings).items()
            },
            peers={
                name: persona(path, f"generation.peers.{name}")
                for name, path in sorted(settings.peers.items())
            },
            student_initial_attempt=load("student_initial_attempt_prompt_path", student),
            complaints=load("complaints_path", student),
            attempt_wrapper=load(
                "initial_attempt_wrapper_prompt_path",
                student | {"attempt"},
                "attempt",
                *["problem"] * own,
            ),
            student_attempt=load("student_attempt_prompt_path", frozenset({"problem"}), "problem"),
            final_system=None
            if settings.student_final_system_prompt_path == PERSONA
            else load("student_final_system_prompt_path", student),
            final=load("student_final_prompt_path", student),
            transfer=load("student_transfer_prompt_path", student | {"tutor_hidden"}, "problem"),
            session_next_tutor=load(
                "session_next_tutor_prompt_path",
                student | {"answer", "student_persona"},
                "problem",
            ),
            session_next_student=load("session_next_student_prompt_path", student, "problem"),
            session_alone=load("session_alone_prompt_path", student, "problem"),
        )
