"""Who takes part in a run, read from its settings: everybody else asks here.

A further participant is one more row of the table: which setting names its model, when it is
asked, and whether a run has it at all.  Students that bring a model of their own are one more role
for each distinct model.  Engines, memory plan, checks, budget and classroom follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from config.rules import active_rules, needs_judge, prompts_among, turn_rules
from config.schema import EvalConfig, ModelSettings, TrainRLConfig
from config.students import asks_student_model, student_models

Config = TrainRLConfig | EvalConfig
Phase = Literal["turns", "judging", "solving"]
HOSTS = ("use_openrouter", "use_gemini", "base_url")  # keys of a model that somebody else serves


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One participant of a run, and the model that plays it."""

    name: str  # in records, seeds, usage and the names of engines
    setting: str  # the key that names its model, for errors
    model: ModelSettings
    phases: frozenset[Phase]  # when it is asked

    @property
    def hosted(self) -> bool:
        return is_hosted(self.model)


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    phases: Callable[[Config], frozenset[Phase]]
    takes_part: Callable[[Config], bool]


def hosts_of(model: ModelSettings) -> list[str]:
    """The settings by which somebody else serves this model, over the network; one at the most."""
    return [host for host in HOSTS if getattr(model, host) not in (None, False)]


def is_hosted(model: ModelSettings) -> bool:
    return bool(hosts_of(model))


def has_conversations(cfg: Config) -> bool:
    """Whether there is a classroom at all; benchmarks of reasoning ask the tutor alone."""
    return isinstance(cfg, TrainRLConfig) or cfg.eval.task in ("classroom", "students")


def _judging(cfg: Config) -> frozenset[Phase]:
    """The judge also reads while the conversation goes on, where each turn is judged."""
    found: set[Phase] = set()
    if prompts_among(active_rules(cfg.generation)):
        found.add("judging")
    if prompts_among(turn_rules(cfg.generation)):
        found.add("turns")
    return frozenset(found)


def needs_tutor(cfg: Config) -> bool:
    """Whether a tutor speaks: where students are measured, a function may give its words."""
    if isinstance(cfg, TrainRLConfig) or cfg.eval.task != "students":
        return True
    return cfg.eval.help == TUTOR or cfg.eval.fork_turn > 0


TUTOR = "tutor"  # as eval.help: the tutor's own turns are the help
_TABLE = (
    _Row("teacher", lambda cfg: frozenset({"turns"}), needs_tutor),
    _Row(
        "student",
        lambda cfg: frozenset({"turns", "solving"}),
        lambda cfg: has_conversations(cfg) and asks_student_model(cfg.generation),
    ),
    _Row(
        "judge",
        _judging,
        lambda cfg: has_conversations(cfg) and needs_judge(cfg.generation),
    ),
)


def roles_of(cfg: Config) -> dict[str, Role]:
    """The roles that a run with these settings asks, by name, the tutor first."""
    found: dict[str, Role] = {}
    for row in _TABLE:
        setting = f"{row.name}_model"
        if row.takes_part(cfg):
            found[row.name] = Role(
                name=row.name, setting=setting, model=getattr(cfg, setting), phases=row.phases(cfg)
            )
        if row.name == "student" and has_conversations(cfg):
            for name, key, model in student_models(cfg.generation):
                found[name] = Role(name=name, setting=key, model=model, phases=row.phases(cfg))
    return found


def configured(cfg: Config) -> dict[str, ModelSettings]:
    """Every role's setting and model, asked or not: values are checked all the same."""
    found = {f"{row.name}_model": getattr(cfg, f"{row.name}_model") for row in _TABLE}
    return found | {setting: model for _, setting, model in student_models(cfg.generation)}
