"""What happens beside training: the metrics file, and stopping politely when told to."""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger(__name__)


class MetricsFile(TrainerCallback):
    """Appends every log of the trainer to metrics.jsonl, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs:
            return
        row = {"step": state.global_step, "time": round(time.time(), 3)}
        row |= {k: v for k, v in logs.items() if _is_finite(v)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def rewind_metrics(path: Path, step: int) -> None:
    """Drop the rows after `step`: a resumed run takes those steps again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            break  # the torn last line of a killed run
    draft = path.with_suffix(".tmp")
    draft.write_text("".join(kept), encoding="utf-8")
    draft.replace(path)


class PoliteStop(TrainerCallback):
    """On SIGTERM or SIGINT: finish the batch at hand, save, and stop.

    All ranks must agree when to stop, and only a generation boundary can be resumed exactly, so
    the signal is looked at after each optimizer step and obeyed after the mu-th.  A second SIGINT
    ends the process at once.
    """

    def __init__(self, mu: int) -> None:
        self.mu = mu
        self.told = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)

    def _tell(self, number: int, frame: Any) -> None:
        if self.told and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.told = True
        log.warning("stopping after this batch of conversations; a checkpoint will be saved")

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        if state.global_step % self.mu == 0 and self._anyone_told():
            control.should_save = control.should_training_stop = True
            self.told = True

    def _anyone_told(self) -> bool:
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return self.told
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        flag = torch.tensor([float(self.told)], device=device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())
