"""What a run writes: checkpoints and the final model in its folder, new weights for its engines."""

from __future__ import annotations

import dataclasses

from config.schema import TrainRLConfig
from src.memory_plan.parts import Plan, Training, shape_of
from src.memory_plan.trainer import rank_state


def run_folder_bytes(cfg: TrainRLConfig, training: Training) -> float:
    """Of all ranks: as many checkpoints as are kept, one more while it is written, and the model.

    A checkpoint holds the trained weights, their float32 master copy and the optimizer's moments.
    """
    if cfg.train.collect_only:
        return 0.0
    state, zero = rank_state(cfg, training), training.zero
    lora = cfg.teacher_model.lora
    weights = state["weights"] * (zero.ranks if zero.stage >= 3 else 1)
    model = weights
    if lora.enable:
        shape = shape_of(cfg.teacher_model.model_name_or_path, "teacher_model")
        trained = shape.lora_parameters(lora.rank, lora.target_modules)
        weights *= trained / (shape.parameters + trained)
    copies = zero.ranks if zero.stage >= 1 else 1
    optimizer = copies * (state.get("master weights", 0.0) + state.get("moments", 0.0))
    return (cfg.logging.save_total_limit + 1) * (weights + optimizer) + model


def published_bytes(plan: Plan) -> float:
    """The files of new weights, which `plan` counts where they are in RAM."""
    of_weights = (
        [item.size for item in phase.ram if item.what.endswith("published weights")]
        for phase in plan.phases
    )
    return max(map(sum, of_weights), default=0.0)


def as_in_ram(cfg: TrainRLConfig) -> TrainRLConfig:
    """The same run with its new weights in RAM: how large they are does not depend on where."""
    return dataclasses.replace(
        cfg, engines=dataclasses.replace(cfg.engines, weights_dir="/dev/shm")
    )
