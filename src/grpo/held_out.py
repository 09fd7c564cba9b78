"""Held-out problems during training: eval.py's own code, with the tutor as it now is."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from config.errors import ConfigError
from config.post_tests import wants_transfer
from config.rules import active_rules, turn_rules
from config.schema import TrainRLConfig
from src.classroom import Classroom
from src.grpo.arguments import boundary
from utils.data.problems import Problem
from utils.metrics.conversation import conversation_metrics, summarise
from utils.metrics.post_tests import OF_TRANSFER
from utils.metrics.sessions import session_names
from utils.metrics.training_metrics import student_curves
from utils.metrics.verdicts import names_by_rule
from utils.records import ConversationRecord

Pooled = dict[str, tuple[float, int]]  # metric -> (mean, how many values are in it)


def check_best_metric(cfg: TrainRLConfig) -> None:
    """Raises ConfigError where `train.best_metric` names nothing that will be measured."""
    rewards = [f"reward_{name}" for name in (*cfg.generation.rewards, "total")]
    rules = [name for rule in active_rules(cfg.generation) for name in names_by_rule(rule.name)]
    judged = turn_rules(cfg.generation)
    turns = ["turns_failed", "turns_withheld"] if judged else []
    turns += [f"turns_failed_by_{rule.name}" for rule in judged]
    tests = OF_TRANSFER if wants_transfer(cfg.generation) else {}
    own = [*tests, *session_names(cfg.generation.problems_per_session)]
    known = [*conversation_metrics([]), "normalised_gain", *own, *rewards, *rules, *turns]
    wanted = cfg.train.best_metric
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"train.best_metric: no metric is called {wanted}{hint}")


def evaluation_classroom(classroom: Classroom) -> Classroom:
    """The same people, measured as eval.py does: before as after, whatever the judges say."""
    plan = classroom.plan
    settings = replace(
        plan.settings,
        number_initial_attempts=plan.settings.number_initial_attempts
        or plan.settings.number_student_attempts,
    )
    return Classroom(
        settings, plan.participants, plan.prompts, plan.rewards, seed=plan.seed, evaluation=True
    )


def already_evaluated(
    records: Iterable[ConversationRecord], problems: Sequence[Problem]
) -> list[ConversationRecord]:
    """Held-out conversations about these problems; nodes that share a folder have others too."""
    mine = {problem.id for problem in problems}
    return [r for r in records if r.split == "eval" and r.problem_id in mine]


def measured(records: Sequence[ConversationRecord]) -> Pooled:
    """Every metric that these conversations have, by student too, with its number of values."""
    students = {f"students/{name}": e for name, e in student_curves(records).items()}
    found = (summarise(records) | students).items()
    return {name: (e.mean, e.n) for name, e in found if e.mean is not None}


def pool(parts: Sequence[Pooled]) -> dict[str, float]:
    """Means over all nodes, each of which held other problems."""
    names = sorted({name for part in parts for name in part})
    means: dict[str, float] = {}
    for name in names:
        entries = [part[name] for part in parts if name in part]
        means[name] = math.fsum(mean * n for mean, n in entries) / sum(n for _, n in entries)
    return means


class EvaluateEvery(TrainerCallback):
    """Has the trainer evaluate before the first step, every so many steps, and after the last.

    Only a generation boundary can be resumed exactly, and the best step is to have a checkpoint:
    so `steps` is rounded up to one.
    """

    def __init__(self, steps: int, mu: int) -> None:
        self.steps = boundary(steps, mu)
        self.start: Callable[[], Any] | None = None  # set once the trainer exists

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step == 0:
            assert self.start is not None
            self.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        step = state.global_step
        control.should_evaluate = step % self.steps == 0 or step >= state.max_steps
