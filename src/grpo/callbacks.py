"""What happens beside training: the metrics file, and stopping politely when told to."""

from __future__ import annotations

import logging
import signal
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.runs.folder import RunFolder, is_lead

log = logging.getLogger(__name__)


class MetricsFile(TrainerCallback):
    """Every log of the trainer becomes a line of the run's metrics.jsonl."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if logs:
            self.run.add_metrics(state.global_step, logs)


class StepLine(TrainerCallback):
    """One readable line a step or evaluation, in place of the trainer's dictionaries."""

    SHOWN = (
        ("reward", "reward"),
        ("solved", "classroom/solve_after"),
        ("of accepted", "classroom/solve_after_accepted"),
        ("another problem", "classroom/solve_transfer"),
        ("leaked", "classroom/leaked"),
        ("rejected", "classroom/rejected"),
        ("loss", "loss"),
        ("grad norm", "grad_norm"),
        ("kl", "kl"),
        ("sampler gap", "sampling/sampling_logp_difference/mean"),
    )
    HELD_OUT = (
        ("reward", "eval_reward_total"),
        ("solved", "eval_solve_after"),
        ("before", "eval_solve_before"),
        ("another problem", "eval_solve_transfer"),
        ("leaked", "eval_leaked"),
        ("rejected", "eval_rejected"),
    )

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
        step, last = state.global_step, state.max_steps
        if "loss" in logs:
            log.info("step %d/%d  %s", step, last, self._line(logs, self.SHOWN))
        elif "eval_turns" in logs:
            log.info("held out, step %d/%d  %s", step, last, self._line(logs, self.HELD_OUT))

    def _line(self, logs: dict[str, Any], wanted: tuple[tuple[str, str], ...]) -> str:
        found = ((name, logs.get(key)) for name, key in wanted)
        return "  ".join(f"{name} {value:.3g}" for name, value in found if value is not None)


class Chatter(logging.Filter):
    """Leaves out what libraries say at every start or batch and nobody can act on."""

    STARTS = (
        "All reward functions returned None",  # with all its values; we count what is left out
        "Gradient accumulation steps mismatch",  # TRL accumulates through DeepSpeed on purpose
    )

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        return not any(start in said[: 40 + len(start)] for start in self.STARTS)


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
        if is_lead():  # a launcher's group has the signal on every rank
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

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """An evaluation takes long: who was told meanwhile does not begin another batch."""
        if state.global_step:  # before the first step there is nothing to save
            self.on_step_end(args, state, control)

    def _anyone_told(self) -> bool:
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return self.told
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        flag = torch.tensor([float(self.told)], device=device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())
