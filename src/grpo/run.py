"""The training job of train_rl.py: from a config to a trained tutor and its run folder."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import ExitStack
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from config.errors import ConfigError
from config.schema import TrainRLConfig
from config.students import students_of
from src.embedded import resolve_model
from src.grpo.arguments import grpo_arguments
from src.grpo.build import build_trainer, check_groups, lead_of
from src.grpo.callbacks import Chatter
from src.grpo.held_out import check_best_metric
from src.grpo.lead import Lead, open_lead
from src.grpo.offload import refuse_idle_offload
from src.grpo.problems import held_out_problems, training_problems
from src.grpo.rollouts.node import Node, peer_is_gone
from src.grpo.rollouts.tutor_in_training import TrainedModule
from src.grpo.summary import print_summary, write_results
from src.models.hub import push_model
from src.models.model_card import write_card
from src.models.services import check_start
from src.models.trackers import check_trackers, prepare_trackers
from src.models.training import save_model
from src.setup import check_classroom, load_tokenizer
from src.vllm.engines import wait_for_engines
from utils.data.overlap import say_shared
from utils.metrics.students import warnings as warnings_of_students
from utils.runs.checkpoints import refuse_other_ranks
from utils.runs.disk import one_line_if_full
from utils.runs.folder import RunFolder, git_revision, open_run
from utils.runs.logs import set_up_logging

log = logging.getLogger(__name__)
STOPPED = 130  # exit code of a run that was told to stop and can be gone on with


def train(cfg: TrainRLConfig) -> int:
    """Run the job, or go on with it; the exit code."""
    try:
        return _train(cfg)
    except RuntimeError as error:
        if not peer_is_gone(error):
            raise
        log.error("another rank is gone: its own last words, or its launcher's, say why")
        return 1


def _check(cfg: TrainRLConfig) -> None:
    """Raises ConfigError for what cannot be trained, before anything slow."""
    lora = cfg.teacher_model.lora
    if lora.enable and lora.bias != "none" and cfg.engines.backend == "vllm":
        raise ConfigError("teacher_model.lora.bias: vLLM serves adapters without biases: none")
    check_trackers(cfg.logging)
    check_start(cfg)
    check_classroom(cfg)
    if cfg.train.eval_steps:
        check_best_metric(cfg)


def _train(cfg: TrainRLConfig) -> int:
    _check(cfg)
    set_up_logging()
    problems, held_out = training_problems(cfg), held_out_problems(cfg)
    say_shared(problems, held_out)
    for line in student_warnings(cfg):
        log.warning(line)
    tutor = resolve_model(
        cfg.teacher_model.model_name_or_path, setting="teacher_model.model_name_or_path"
    )
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    wait_for_engines()
    with ExitStack() as stack:
        stack.enter_context(one_line_if_full("logging.save_dir", cfg.logging.save_dir))
        folder = stack.enter_context(open_run(cfg))
        refuse_other_ranks(folder.path, world_size)
        set_up_logging(file=folder.path / "train.log")
        _quiet()
        if folder.lead:
            prepare_trackers(cfg.logging, folder.path)
        # Making the arguments also joins the ranks, where there are several.
        arguments = grpo_arguments(cfg, folder.path, world_size=world_size)
        refuse_idle_offload(cfg, arguments)
        node, trained = Node(), TrainedModule()
        check_groups(cfg, node)
        tokenizer = load_tokenizer(cfg.teacher_model, "teacher_model")
        lead = node.on_lead(
            lambda: open_lead(
                cfg, folder, node, stack, trained=trained, tokenizer=tokenizer, held_out=held_out
            )
        )
        checkpoint = _checkpoint(folder, lead)
        if cfg.train.collect_only:
            node.on_lead(lambda: lead_of(lead).collect(problems))
        else:
            trainer = build_trainer(
                cfg, arguments, tutor, folder, problems, node, lead, trained, tokenizer
            )
            trainer.train(resume_from_checkpoint=checkpoint)
            if trainer.state.global_step < trainer.state.max_steps:
                if folder.lead:
                    step = trainer.state.global_step
                    log.warning("stopped at step %d; the same command goes on", step)
                return STOPPED
            save_model(trainer, tokenizer, folder.path)
            if folder.lead:
                write_card(cfg, folder.path, folder.path / "model", git_revision())
            if folder.lead and (best := trainer.state.best_model_checkpoint):
                value = trainer.state.best_metric
                log.info("best by %s: %s (%.3g)", cfg.train.best_metric, best, value)
        if folder.lead:
            _finish(cfg, folder, tutor)
        return 0


def _finish(cfg: TrainRLConfig, folder: RunFolder, tutor: str) -> None:
    """Metrics, table and report; then the upload, without which the run is not finished."""
    print_summary(folder.path)
    print(f"report: {write_results(folder.path, tutor)}", flush=True)
    if cfg.huggingface.push_to_hub and not cfg.train.collect_only:
        log.info("pushed to %s", push_model(folder.path / "model", cfg.huggingface))
    folder.finish()


def student_warnings(cfg: TrainRLConfig) -> list[str]:
    """What was measured of the students and speaks against them.  Raises ConfigError."""
    path, generation = cfg.generation.students_measured, cfg.generation
    if path is None:
        return []
    trained = [student.name for student in students_of(generation) if not student.held_out]
    return warnings_of_students(Path(path), trained, generation.min_selectivity)


def _quiet() -> None:
    """Leave out what libraries say at every start or step and nobody can act on."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func is pinned and tested
    disable_progress_bar()
    for handler in logging.getLogger().handlers:
        handler.addFilter(Chatter())
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")


def _checkpoint(folder: RunFolder, lead: Lead | None) -> str | None:
    """The checkpoint to go on from; what each node's record holds of later steps is forgotten."""
    found = folder.last_checkpoint()
    step = int(found.name.rpartition("-")[2]) if found else 0
    if lead is not None and folder.resumed:
        lead.writer.rewind(step)
    if folder.lead and folder.resumed:
        folder.drop_metrics_after(step)
        where = f"checkpoint of step {step}" if found else "the start: it had no checkpoint yet"
        log.info("run %s goes on from %s", folder.name, where)
    return str(found) if found else None
