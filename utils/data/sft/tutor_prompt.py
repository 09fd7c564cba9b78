"""What the tutor was told before its first turn, rendered again from a run's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import ConfigError
from config.schema import GenerationSettings
from config.validate import NO_PROMPT
from utils.prompts import TUTOR_VARIABLES, Prompt, load_prompt, thinking_values

_STUDENT = frozenset({"problem", "student_name"})


@dataclass(frozen=True, slots=True)
class TutorPrompt:
    """The prompts of the tutor's first messages, as the classroom puts them together."""

    teacher: Prompt
    opening: Prompt
    wrapper: Prompt
    thinking: bool
    force_thinking: bool

    @classmethod
    def of(cls, generation: Mapping[str, Any]) -> TutorPrompt:
        """From the `generation` group of a run's config.yaml; missing keys have their defaults.

        Raises ConfigError naming the prompt file's setting.
        """
        defaults = GenerationSettings()
        if generation.get("teacher_prompt_path") == NO_PROMPT:
            raise ConfigError(
                "generation.teacher_prompt_path: none: what an endpoint told its tutor is unknown; "
                "such conversations cannot train another"
            )

        def load(key: str, variables: frozenset[str]) -> Prompt:
            path = generation.get(key, getattr(defaults, key))
            return load_prompt(path, setting=f"generation.{key}", variables=variables)

        forced = bool(generation.get("force_thinking", False))
        return cls(
            teacher=load("teacher_prompt_path", TUTOR_VARIABLES),
            opening=load("tutor_opening_prompt_path", _STUDENT),
            wrapper=load("initial_attempt_wrapper_prompt_path", _STUDENT | {"attempt"}),
            thinking=forced or bool(generation.get("use_thinking", False)),
            force_thinking=forced,
        )

    def system(
        self, problem: str, answer: str = "", student_name: str | None = None, persona: str = ""
    ) -> dict[str, str]:
        """The system message."""
        text = self.teacher.render(
            problem=problem,
            answer=answer,
            student_name=student_name,
            student_persona=persona,
            **thinking_values(use=self.thinking, force=self.force_thinking),
        )
        return {"role": "system", "content": text}

    def attempt(
        self, problem: str, attempt: str, student_name: str | None = None
    ) -> dict[str, str]:
        """The student's own attempt, as the user message that opens the conversation."""
        text = self.wrapper.render(problem=problem, student_name=student_name, attempt=attempt)
        return {"role": "user", "content": text}

    def stand_in(self, problem: str = "", student_name: str | None = None) -> str:
        """What the user says where a chat template demands a user before the tutor opens."""
        return self.opening.render(problem=problem, student_name=student_name)
