"""A student as a conversation meets it: its settings, its misconception, and who speaks for it."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import RunError
from config.functions import call_function, load_function
from config.schema import GenerationSettings
from config.students import SETTING, Student, students_of
from utils.students.malrules import Malrule, load_malrule
from utils.students.moment import Moment, Replies


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentPolicy:
    """One student of a run, whatever its settings name loaded."""

    student: Student
    malrule: Malrule | None = None
    replies: Replies | None = None

    @property
    def keeps_persona(self) -> bool:
        """Whether its persona is in force before and after the conversation, whatever the settings.

        A misconception is what somebody believes, not how they talk.
        """
        return self.student.kind == "misconception"

    def words(self, moment: Moment) -> str | None:
        """What its script says; None where its model is to speak.  Raises RunError."""
        if self.replies is None:
            return None
        setting = f"{SETTING}.{self.student.name}.replies"
        said = call_function(self.replies, setting, moment)
        if said is not None and not isinstance(said, str):
            raise RunError(f"{setting}: its function gave {said!r}, no text and not None")
        return said

    @property
    def told(self) -> dict[str, object]:
        """What its persona may speak of, beside the problem and its name."""
        values: dict[str, object] = {}
        if self.malrule is not None:
            values["misconception"] = self.malrule.statement
        if self.student.kind == "adversarial":
            values["rounds"] = self.student.rounds
        return values


def load_students(generation: GenerationSettings) -> dict[str, StudentPolicy]:
    """By name, in the order of names.  Raises ConfigError naming a setting."""
    found: dict[str, StudentPolicy] = {}
    for student in students_of(generation):
        key = f"{SETTING}.{student.name}"
        rule, script = student.misconception, student.replies
        if student.check:
            load_function(student.check, f"{key}.check")
        found[student.name] = StudentPolicy(
            student=student,
            malrule=load_malrule(rule, f"{key}.misconception") if rule else None,
            replies=load_function(script, f"{key}.replies") if script else None,
        )
    return found
