"""The job of eval.py: work what has not been held yet, score it, write what came out.

Everything is a function of the record, so an interrupted evaluation has results too, and the same
command goes on from there: a conversation that stands in the record or its journal is never asked
again.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from config.errors import ConfigError, RunError
from config.roles import roles_of
from config.schema import EvalConfig
from src.background import Background
from src.embedded import resolve_model
from src.evaluation.results import finish
from src.evaluation.students import measure_students, others_of, prepare_students
from src.inference_providers.hosted import hosted_provider
from src.models.ped_rm import check_ped_rm
from src.models.services import check_wandb
from utils.runs.folder import RunFolder, open_run
from utils.runs.logs import set_up_logging

log = logging.getLogger(__name__)
INTERRUPTED = 130
Work = Callable[[RunFolder, Background, ExitStack], None]


def evaluate(cfg: EvalConfig) -> int:
    """Run the evaluation, or go on with it; the exit code (130: stopped, results so far)."""
    set_up_logging()
    prepare(cfg)
    work = planned(cfg)
    with ExitStack() as stack:
        folder = stack.enter_context(open_run(cfg))
        set_up_logging(file=folder.path / "eval.log")
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        try:
            _run(work, folder)
        except KeyboardInterrupt:
            log.warning("stopped; the same command goes on from here")
            finish(cfg, folder, whole=False)
            return INTERRUPTED
        except RunError:
            finish(cfg, folder, whole=False)  # what was paid for is kept and counted
            raise
        finish(cfg, folder, whole=True)
    return 0


def prepare(cfg: EvalConfig) -> None:
    """Settle what the settings leave open; refuse what would only fail after hours of work."""
    generation = cfg.generation
    if cfg.eval.task == "students":
        prepare_students(cfg)
    if cfg.eval.task == "reasoning":
        cfg.score_using_pedagogical_reward = False
    if cfg.recompute_initial_attempts and generation.number_initial_attempts == 0:
        generation.number_initial_attempts = generation.number_student_attempts
    if cfg.eval.control == "retry" and not generation.number_initial_attempts:
        raise ConfigError(
            "eval.control: retry starts from the student's first attempts; "
            "set recompute_initial_attempts=true or generation.number_initial_attempts"
        )
    check_wandb(cfg.logging)
    if not cfg.dataset.eval_datasets and cfg.eval.task != "mathtutorbench":
        raise ConfigError("dataset.eval_datasets: no dataset is named")
    for role in roles_of(cfg).values():  # refuse what would fail later: no key, no such folder
        if role.hosted:
            hosted_provider(role.model, cfg.engines, role=role.setting)
        else:
            name = role.model.model_name_or_path
            resolve_model(name, setting=f"{role.setting}.model_name_or_path")
    if cfg.score_using_pedagogical_reward:
        check_ped_rm(cfg)


def planned(cfg: EvalConfig) -> Work:
    """What is to be asked, read before the run has a folder; data at fault leaves none behind."""
    if cfg.eval.task == "classroom":
        from src.evaluation.conversations import held_out_problems, run_conversations

        return partial(run_conversations, cfg, held_out_problems(cfg))
    if cfg.eval.task == "students":
        from src.evaluation.conversations import held_out_problems

        problems = held_out_problems(cfg)
        others_of(problems, cfg.seed)  # refused before there is a folder
        return partial(measure_students, cfg, problems)
    from src.evaluation.benchmarks import benchmark_items, run_benchmark

    return partial(run_benchmark, cfg, benchmark_items(cfg))


def _run(work: Work, folder: RunFolder) -> None:
    """Ask what is missing; the engines are stopped when this returns."""
    with ExitStack() as stack:
        loop = stack.enter_context(Background())
        work(folder, loop, stack)
