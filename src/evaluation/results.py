"""What an evaluation leaves: Ped-RM scores, metrics.json, the table, report.html, W&B."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.roles import is_hosted
from config.schema import EvalConfig
from src.embedded import resolve_model
from src.evaluation.scores import score_all
from src.models.hub import prepare_wandb
from src.models.ped_rm import load_ped_rm, rating_prompt
from utils.metrics.conversation import METRICS_NAME, write_json
from utils.metrics.results import run_results
from utils.metrics.students import STUDENTS_NAME
from utils.records import RECORD_NAME, ConversationRecord
from utils.report.conversations import Decode
from utils.report.terminal import print_metrics
from utils.report.write import REPORT_NAME, load_decoder, write_report
from utils.runs.folder import RunFolder
from utils.runs.read import Run
from utils.runs.read import open_run as read_run
from utils.runs.record_writer import RecordWriter

log = logging.getLogger(__name__)
TUTOR = "teacher_model.model_name_or_path"


def finish(cfg: EvalConfig, folder: RunFolder, *, whole: bool) -> None:
    """Write everything that follows from the record; `whole`: nothing is missing from it.

    What is not whole stays in the journal, so that the next start goes on from there.
    """
    if whole:
        RecordWriter(folder.path).settle()
        if cfg.score_using_pedagogical_reward:
            score_record(cfg, folder.path)
    try:
        run = read_run(folder.path)
    except ConfigError:
        log.warning("nothing was finished; there is nothing to report")
        return
    metrics = run_results(run)
    write_json(folder.path / METRICS_NAME, metrics)
    if "students" in metrics:
        write_json(folder.path / STUDENTS_NAME, metrics["students"])
    title = folder.name if whole else f"{folder.name} (stopped after {len(run.records)})"
    print_metrics(metrics, title)
    if cfg.eval.report:
        write_report([run], folder.path / REPORT_NAME, decoders=[_decoder(cfg, run)])
        print(folder.path / REPORT_NAME)
    if whole:
        _log_to_wandb(cfg, folder, metrics)
        folder.finish()


def score_record(cfg: EvalConfig, folder: Path) -> None:
    """Put Ped-RM scores into a settled record; what has them keeps them."""
    model = cfg.pedagogical_reward_model
    record = read_run(folder).records
    if all(r.ped_rm or not r.messages for r in record):
        return
    log.info("scoring %d conversations with %s", len(record), model)
    rewrite(folder, score_all(load_ped_rm(model), record, rating_prompt(cfg)))


def rewrite(folder: Path, records: Sequence[ConversationRecord]) -> None:
    """Replace the record whole or not at all."""
    draft = folder / f"{RECORD_NAME}.part"
    draft.write_text("".join(r.to_json() + "\n" for r in records), encoding="utf-8")
    draft.replace(folder / RECORD_NAME)


def _decoder(cfg: EvalConfig, run: Run) -> Decode | None:
    """The tutor's tokenizer, where it is one of our own and its tokens were kept."""
    if is_hosted(cfg.teacher_model) or not any(r.trajectory for r in run.records):
        return None
    return load_decoder(resolve_model(cfg.teacher_model.model_name_or_path, setting=TUTOR))


def _log_to_wandb(cfg: EvalConfig, folder: RunFolder, metrics: dict[str, Any]) -> None:
    """The means, if W&B is on; offline where there is no key."""
    if not cfg.logging.wandb:
        return
    import wandb

    prepare_wandb(cfg.logging, folder.path)
    with wandb.init() as logged:
        entries = {k: v for k, v in metrics.items() if isinstance(v, dict) and "mean" in v}
        logged.summary.update(
            {f"eval/{name}": e["mean"] for name, e in entries.items() if e["mean"] is not None}
        )
