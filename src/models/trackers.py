"""Trackers beside the run folder: W&B, trackio, TensorBoard, by transformers' own integrations.

All of them work offline.  What they draw stands in metrics.jsonl too.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from config.errors import ConfigError
from config.schema import LoggingSettings
from src.models.hub import prepare_wandb
from utils.gains import rate_afterwards
from utils.metrics.verdicts import leaked
from utils.records import ConversationRecord
from utils.runs.read import open_run
from utils.seeding import keyed_seed

TABLE = "conversations"
COLUMNS = ("step", "problem", "conversation", "leaked", "solved after", "reward")
MOST_ROWS = 32
TENSORBOARD = "TENSORBOARD_LOGGING_DIR"


def check_trackers(settings: LoggingSettings) -> None:
    """Raises ConfigError where a tracker's package is not installed."""
    for name in settings.trackers:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"logging.trackers: {name} is not installed: "
                "pip install -r requirements-trackers.txt"
            )


def prepare_trackers(settings: LoggingSettings, folder: Path) -> None:
    """Tell the trackers, which the trainer starts, what the settings say."""
    prepare_wandb(settings, folder)
    if "tensorboard" in settings.trackers:
        os.environ[TENSORBOARD] = str(folder / "tensorboard")


class ConversationTable(TrainerCallback):
    """After the last step, one table of sampled conversations in each tracker that shows one."""

    def __init__(self, folder: Path, trackers: Sequence[str]) -> None:
        self.folder, self.trackers = folder, trackers

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not state.is_world_process_zero or state.global_step < state.max_steps:
            return
        rows = table_rows(open_run(self.folder).final)
        if "wandb" in self.trackers:
            import wandb

            wandb.log({TABLE: wandb.Table(columns=list(COLUMNS), data=rows)})
        if "trackio" in self.trackers:
            import pandas
            import trackio

            trackio.log({TABLE: trackio.Table(dataframe=pandas.DataFrame(rows, columns=COLUMNS))})
        if "tensorboard" in self.trackers:
            from torch.utils.tensorboard import SummaryWriter

            with SummaryWriter(os.environ[TENSORBOARD]) as writer:
                writer.add_text(TABLE, markdown(rows), state.global_step)


def table_rows(records: Sequence[ConversationRecord]) -> list[list[Any]]:
    """A sample by address, so that a table can be made again; at most MOST_ROWS."""
    chosen = sorted(records, key=lambda r: keyed_seed(TABLE, *r.key))[:MOST_ROWS]
    return [
        [
            record.step,
            record.problem,
            "\n\n".join(f"{m.speaker or m.role}: {m.visible}" for m in record.messages),
            leaked(record),
            None if record.accepted_only else rate_afterwards(record),
            record.rewards.get("total"),
        ]
        for record in sorted(chosen, key=lambda r: r.key)
    ]


def markdown(rows: Sequence[Sequence[Any]]) -> str:
    """The table as TensorBoard's text panel shows one."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = "" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n\n", "<br>").replace("\n", " ")
