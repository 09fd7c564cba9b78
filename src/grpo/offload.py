"""What the trainer leaves on its GPU while conversations are held: no caches and, by setting, no
state."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainingArguments

from config.schema import TrainRLConfig
from config.validate import check_offload


def refuse_idle_offload(cfg: TrainRLConfig, arguments: TrainingArguments) -> None:
    """Raises ConfigError where the accelerate config at hand leaves nothing to be moved."""
    zero = arguments.deepspeed_plugin
    if zero is None:
        check_offload(cfg, 0, False)
    else:
        check_offload(cfg, zero.zero_stage, zero.offload_param_device not in (None, "none"))


@contextmanager
def at_rest(accelerator: Accelerator, engine: Any, offload: bool) -> Iterator[None]:
    """Room for the engines, on all ranks before anyone goes on.  Collective.

    `engine`: DeepSpeed's, or None.  With `offload` its state lies in pinned RAM meanwhile, so no
    weight may be read inside: they are handed over before.  After a failure inside nothing comes
    back, since an engine may still hold the memory; the run is over then.
    """
    if offload:
        engine.offload_states(include=movable(engine))
    elif engine is not None:
        engine.empty_partition_cache()
    _empty_caches()
    accelerator.wait_for_everyone()
    yield
    if offload:
        engine.reload_states()
        _forget_copies(engine)


def _empty_caches() -> None:
    """What allocators keep of freed memory goes back: torch's on a GPU, glibc's on a CPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # elsewhere there is none
        trim(0)


def movable(engine: Any) -> list[Any]:
    """What DeepSpeed can move: of ZeRO-3's master weights and moments only those of FusedAdam."""
    from deepspeed.ops.adam import FusedAdam
    from deepspeed.runtime.zero.offload_config import OffloadStateTypeEnum as State

    everything = list(State)
    if engine.zero_optimization_stage() < 3 or type(engine.optimizer.optimizer) is FusedAdam:
        return everything
    return [state for state in everything if state not in (State.hp_params, State.optim_states)]


def _forget_copies(engine: Any) -> None:
    """DeepSpeed leaves the moments' copies in the optimizer's state: a checkpoint would hold them
    as well, and a run that goes on from it would load them onto the GPU and offload to there."""
    for state in engine.optimizer.optimizer.state.values():
        for name in [name for name in state if name.endswith("_offload_buffer")]:
            del state[name]


def fused_adam(arguments: TrainingArguments) -> tuple[Any, dict[str, Any]]:
    """DeepSpeed's own AdamW, whose state ZeRO-3 can move, and its settings but for weight decay.

    Its kernel is compiled at its first use (nvcc; a C++ compiler on a CPU).
    """
    from deepspeed.ops.adam import FusedAdam

    betas = (arguments.adam_beta1, arguments.adam_beta2)
    return FusedAdam, {"lr": arguments.learning_rate, "betas": betas, "eps": arguments.adam_epsilon}
