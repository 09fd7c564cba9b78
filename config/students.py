"""`generation.students` as people give it: read into entries, checked, and who they are.

Where it is empty the students are those of `generation.student_personas_prompts_paths`, the older
setting: plain ones of equal weight, all played by `student_model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import ConfigError
from config.functions import is_function
from config.schema import GenerationSettings, ModelSettings, StudentEntry

SETTING = "generation.students"


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One student of a run, and all that the settings say of it."""

    name: str  # `student_persona` of the record
    persona: str  # its prompt file
    setting: str  # the key that names the file, for errors
    kind: str = "plain"
    weight: float = 1.0
    held_out: bool = False
    role: str = "student"  # who plays it: a name of `config.roles.roles_of`
    replies: str | None = None
    misconception: str | None = None
    rounds: int = 0
    check: str | None = None


def has_named_students(generation: GenerationSettings) -> bool:
    """Whether `generation.students` says who takes part; otherwise the older setting does."""
    return bool(generation.students)


def students_of(generation: GenerationSettings) -> tuple[Student, ...]:
    """Every student that the settings name, in the order of names."""
    if not has_named_students(generation):
        key = "generation.student_personas_prompts_paths"
        personas = sorted(generation.student_personas_prompts_paths.items())
        return tuple(Student(name=n, persona=p, setting=f"{key}.{n}") for n, p in personas)
    roles = {name: role for role, names in _played(generation).items() for name in names}
    return tuple(
        Student(
            name=name,
            persona=entry.persona,
            setting=f"{SETTING}.{name}.persona",
            kind=entry.kind,
            weight=entry.weight,
            held_out=entry.held_out,
            role=roles[name],
            replies=entry.replies,
            misconception=entry.misconception,
            check=entry.check,
            rounds=entry.rounds if entry.kind == "adversarial" else 0,
        )
        for name, entry in sorted(generation.students.items())
    )


def student_models(generation: GenerationSettings) -> Iterator[tuple[str, str, ModelSettings]]:
    """(role, setting, model) of each distinct model that students bring themselves."""
    for role, [first, *_] in _played(generation).items():
        model = generation.students[first].model
        if model is not None:
            yield role, f"{SETTING}.{first}.model", model


def asks_student_model(generation: GenerationSettings) -> bool:
    """Whether anybody is played by `student_model`: a student without a model, or a peer."""
    return bool(generation.peers) or any(s.role == "student" for s in students_of(generation))


def _played(generation: GenerationSettings) -> dict[str, list[str]]:
    """Role -> the students that it plays; a role that is not `student` has the first one's name."""
    found: dict[str, list[str]] = {}
    models: list[tuple[ModelSettings, str]] = []
    for name, entry in sorted(generation.students.items()):
        role = "student"
        if entry.model is not None:
            role = next((r for model, r in models if model == entry.model), "")
            if not role:
                role = f"student-{name.replace('_', '-')}"  # also the name of its engine
                models.append((entry.model, role))
        found.setdefault(role, []).append(name)
    return found


# -- reading and checking --------------------------------------------------------------------


def student_entries(
    given: Mapping[str, Any], student_model: ModelSettings
) -> dict[str, StudentEntry]:
    """Name -> entry, without those whose persona is `none`.  Raises ConfigError.

    Of a student's own model, what is not said is as in `student_model`; one that says nothing else
    is `student_model`.
    """
    found: dict[str, StudentEntry] = {}
    for name, value in given.items():
        entry = _entry(name, value)
        if entry.persona.lower() == "none":
            continue
        entry.model = _model(f"{SETTING}.{name}.model", entry.model, student_model)
        # one object for equal models: who changes one (src/memory_plan/advice.py) changes all
        same = [e.model for e in found.values() if e.model == entry.model]
        entry.model = same[0] if same else entry.model
        found[name] = entry
    return found


def _entry(name: str, given: Any) -> StudentEntry:
    if isinstance(given, StudentEntry):
        return given
    key, known = f"{SETTING}.{name}", StudentEntry()
    if not isinstance(given, dict):
        raise ConfigError(f"{key}: {given!r} is not of the form {{persona: ..., kind: ...}}")
    if unknown := given.keys() - vars(known).keys():
        raise ConfigError(
            f"{key}.{min(unknown)}: no such key of a student, which has {', '.join(vars(known))}"
        )
    kinds: dict[str, tuple[type, ...]] = {
        "weight": (int, float), "held_out": (bool,), "rounds": (int,), "model": (dict, type(None)),
        "persona": (str,), "kind": (str,),
    }  # fmt: skip
    for part, value in given.items():
        fits = isinstance(value, kinds.get(part, (str, type(None))))
        if not fits or (isinstance(value, bool) and part != "held_out"):
            raise ConfigError(f"{key}.{part}: {value!r} cannot be one")
    return StudentEntry(**given)


def _model(key: str, given: Any, base: ModelSettings) -> ModelSettings | None:
    if given is None or isinstance(given, ModelSettings):
        return given
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        whole = OmegaConf.merge(OmegaConf.structured(base), given)
        model = OmegaConf.to_object(whole)
    except OmegaConfBaseException as error:
        where = f"{key}.{error.full_key}" if error.full_key else key
        said = str(error.msg or error).splitlines()[0]
        raise ConfigError(f"{where}: {said}") from error
    assert isinstance(model, ModelSettings)
    return None if model == base else model


def check_students(generation: GenerationSettings, *, training: bool) -> None:
    """Raises ConfigError for the first student that cannot be one."""
    if not has_named_students(generation):
        if not generation.student_personas_prompts_paths:
            raise ConfigError("generation.student_personas_prompts_paths: at least one is needed")
        return
    for name, entry in generation.students.items():
        _check_entry(f"{SETTING}.{name}", name, entry)
    if training and not any(not s.held_out and s.weight for s in students_of(generation)):
        raise ConfigError(f"{SETTING}: all are held out; nobody is left to train with")


def _check_entry(key: str, name: str, entry: StudentEntry) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ConfigError(f"{key}: no name of a student (letters, digits, _)")
    if entry.persona in ("", StudentEntry().persona):
        raise ConfigError(f"{key}.persona: no value given")
    if entry.misconception is not None and entry.kind != "misconception":
        raise ConfigError(f"{key}.misconception: needs kind: misconception, not {entry.kind}")
    for part in ("replies", "check"):
        named = getattr(entry, part)
        if named is not None and not is_function(named):
            raise ConfigError(f"{key}.{part}: {named!r} is not of the form module:function")
