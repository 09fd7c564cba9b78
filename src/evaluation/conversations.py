"""Holds an evaluation's conversations, and those of its control arm, that the record lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from config.post_tests import wants_transfer
from config.schema import EvalConfig
from src.background import Background
from src.classroom import Classroom
from src.dialog.conversation import Given
from src.evaluation.control import run_control
from src.local_models import open_local_models
from src.progress import Progress
from src.setup import build_classroom, check_classroom, run_budget
from utils.data.problems import Problem
from utils.data.sessions import load_sessions
from utils.records import ConversationRecord, load_run
from utils.runs.folder import RunFolder
from utils.runs.record_writer import CONTROL_FOLDER, RecordWriter
from utils.students.roster import Roster

log = logging.getLogger(__name__)
Running = Coroutine[Any, Any, list[ConversationRecord]]


def held_out_problems(cfg: EvalConfig) -> list[Problem]:
    """The problems to talk about; prompts and rules are seen to as well.  Raises ConfigError."""
    check_classroom(cfg)
    return load_sessions(
        cfg.dataset.eval_datasets,
        length=cfg.generation.problems_per_session,
        seed=cfg.seed,
        limit=cfg.dataset.max_val_examples,
        setting="dataset.eval_datasets",
        bad_rows=cfg.dataset.bad_rows,
        transfer=wants_transfer(cfg.generation),
    )


def run_conversations(
    cfg: EvalConfig,
    problems: Sequence[Problem],
    folder: RunFolder,
    loop: Background,
    stack: ExitStack,
) -> None:
    """Run one conversation for each problem, student and sample that is not finished yet."""
    students = Roster.of(cfg.generation, cfg.seed).evaluated
    samples = cfg.num_samples_per_problem * students
    missing = missing_pairs(problems, samples, folder.path)
    waiting = _waiting_for_control(cfg, len(problems) * students, folder.path)
    if not missing and not waiting:
        return
    total = len(problems) * samples
    if len(missing) < total:
        log.info("%d of %d conversations are finished already", total - len(missing), total)
    providers = open_local_models(cfg, folder.path, stack).providers
    budget = run_budget(cfg, folder.path)
    classroom = build_classroom(cfg, providers, evaluation=True, budget=budget)
    stack.callback(lambda: loop.run(classroom.close()))
    writer = RecordWriter(folder.path)
    if missing:
        run_pairs(classroom, missing, loop, writer, folder.name)
    if cfg.eval.control == "retry":
        run_control(cfg, classroom, folder.path, loop)


def missing_pairs(
    problems: Sequence[Problem], samples: int, folder: Path, step: int = 0
) -> list[tuple[Problem, int]]:
    """(problem, sample) pairs without a finished conversation, in order."""
    held = {r.key for r in load_run(folder)}
    return [
        (problem, sample)
        for problem in problems
        for sample in range(samples)
        if ("eval", step, problem.id, sample) not in held
    ]


def run_pairs(
    classroom: Classroom,
    pairs: Sequence[tuple[Problem, int]],
    loop: Background,
    writer: RecordWriter,
    run: str,
    *,
    step: int = 0,
    given: Sequence[Given] | None = None,
    guarded: Callable[[Running], Running] = lambda work: work,
) -> list[ConversationRecord]:
    """Run these conversations; each goes to the journal as it finishes.

    `given`: words that each of them is given.  `guarded`: who watches over them meanwhile
    (`Residency.guarded`).
    """
    with Progress("evaluation", classroom.states, len(pairs)):
        work = classroom.run(
            [problem for problem, _ in pairs],
            samples=[sample for _, sample in pairs],
            step=step,
            split="eval",
            run=run,
            given=given,
            on_finished=writer.add,
        )
        return loop.run(guarded(work))


def _waiting_for_control(cfg: EvalConfig, wanted: int, folder: Path) -> bool:
    if cfg.eval.control != "retry":
        return False
    return len(load_run(folder / CONTROL_FOLDER)) < wanted
