"""A fine-tuning run from settings to a saved model: the job of train_sft.py."""

from __future__ import annotations

import logging
import os
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from transformers import PrinterCallback, TrainerCallback, set_seed
from transformers.utils.logging import disable_progress_bar

from config.schema import TrainSFTConfig
from src.grpo.callbacks import PoliteStop
from src.models.hub import push_model
from src.models.services import check_start
from src.models.trackers import check_trackers, prepare_trackers
from src.models.training import load_tokenizer, save_model
from src.sft.data import load_sets
from src.sft.trainers import build_trainer
from src.stale_builds import drop_stale_locks
from utils.report.terminal import output
from utils.runs.checkpoints import refuse_other_ranks
from utils.runs.folder import RunFolder, open_run
from utils.runs.logs import set_up_logging

log = logging.getLogger(__name__)
SHOWN = (
    ("held-out loss", "eval_loss"),
    ("held-out token accuracy", "eval_mean_token_accuracy"),
    ("held-out preference accuracy", "eval_rewards/accuracies"),
    ("held-out preference margin", "eval_rewards/margins"),
    ("training loss", "loss"),
)


def train(cfg: TrainSFTConfig) -> int:
    """Train, or go on with an unfinished run of the same settings; the exit code."""
    set_up_logging()
    check_trackers(cfg.logging)
    check_start(cfg)
    disable_progress_bar()  # one for every file that is read or written
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for lock in drop_stale_locks(shared=ranks > int(os.environ.get("LOCAL_WORLD_SIZE", ranks))):
        log.info("%s: left by a start that was killed while it compiled; removed", lock)
    tokenizer = load_tokenizer(cfg.model)
    sets = load_sets(cfg, tokenizer)  # before there is a run: what is wrong here can be mended
    with open_run(cfg) as run:
        refuse_other_ranks(run.path, ranks)
        set_up_logging(file=run.path / "log.txt")
        log.info("%d rows to train on, %d held out", len(sets.train), len(sets.held_out or ()))
        if run.lead:
            prepare_trackers(cfg.logging, run.path)
        set_seed(cfg.seed)  # of new adapters
        stop = PoliteStop(1)
        trainer = build_trainer(cfg, tokenizer, sets, run, [_Watch(run), stop])
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_checkpoint(run, trainer))
        if stop.told:
            log.info("stopped; the same command goes on from here")
            return 130
        if sets.held_out is not None:
            trainer.evaluate()
        save_model(trainer, tokenizer, run.path)
        trainer.accelerator.wait_for_everyone()
        if run.lead:
            _finish(cfg, run)
    return 0


def _checkpoint(run: RunFolder, trainer: Any) -> str | None:
    """Where to go on from; what metrics.jsonl says of later steps is forgotten."""
    found = run.last_checkpoint()
    if found is None:
        run.drop_metrics_after(-1)
        return None
    step = int(found.name.rpartition("-")[2])
    log.info("resuming %s from step %d", run.name, step)
    run.drop_metrics_after(step)
    trainer.args.eval_on_start = False  # the run has that line
    return str(found)


def _finish(cfg: TrainSFTConfig, run: RunFolder) -> None:
    console = output()
    console.print(summary(run))
    console.print(f"model: {run.path / 'model'}", highlight=False, soft_wrap=True)
    if cfg.huggingface.push_to_hub:
        repo = push_model(run.path / "model", cfg.huggingface)
        console.print(f"pushed to {repo}", highlight=False)
    run.finish()


def summary(run: RunFolder) -> Table:
    """First against last value of what was measured."""
    table = Table(title=run.name, title_justify="left")
    for name in ("", "before", "after"):
        table.add_column(name, justify="left" if not name else "right")
    rows = run.metrics()
    for label, key in SHOWN:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            table.add_row(label, f"{values[0]:.4f}", f"{values[-1]:.4f}")
    return table


class _Watch(TrainerCallback):
    """metrics.jsonl, and a bar on the lead rank's terminal."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._bar = Progress(console=Console(stderr=True), transient=True, disable=not run.lead)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._task = self._bar.add_task("training", total=state.max_steps)
        self._bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.update(self._task, completed=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.stop()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if not logs:
            return
        self._run.add_metrics(state.global_step, logs)
        if "loss" in logs:
            self._bar.update(self._task, description=f"training, loss {logs['loss']:.3f}")
