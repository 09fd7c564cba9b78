"""Our settings as TRL's SFTConfig and DPOConfig; what TRL would otherwise choose is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import DPOConfig, SFTConfig

from config.schema import TrainSFTConfig
from src.grpo.arguments import ADAM, optimizer_name
from src.models.training import accumulate_in_float32


def sft_arguments(cfg: TrainSFTConfig, folder: Path, *, packing: bool) -> SFTConfig:
    """Rows come with their labels, already checked for length: nothing is cut or masked here."""
    arguments = SFTConfig(
        **_common(cfg, folder),
        packing=packing,
        eval_packing=False,
        max_length=cfg.model.max_length if packing else None,
    )
    accumulate_in_float32(arguments)
    return arguments


def mdpo_arguments(cfg: TrainSFTConfig, folder: Path) -> DPOConfig:
    """Sigmoid loss on whole conversations, KL to the starting model with `train.beta`."""
    arguments = DPOConfig(
        **_common(cfg, folder),
        beta=cfg.train.beta,
        loss_type=["sigmoid"],
        max_length=None,
        disable_dropout=not cfg.model.lora.enable,  # adapters have the dropout that they are given
    )
    accumulate_in_float32(arguments)
    return arguments


def _common(cfg: TrainSFTConfig, folder: Path) -> dict[str, Any]:
    train, cuda = cfg.train, torch.cuda.is_available()
    evaluates = bool(cfg.dataset.eval_datasets)
    return {
        "output_dir": str(folder / "checkpoints"),
        "seed": cfg.seed,
        "data_seed": cfg.seed,
        "num_train_epochs": train.epochs,
        "max_steps": train.max_steps,
        "per_device_train_batch_size": train.per_device_train_batch_size,
        "per_device_eval_batch_size": train.per_device_train_batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation_steps,
        "gradient_checkpointing": train.gradient_checkpointing,
        "remove_unused_columns": False,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.lr_scheduler_type,
        "warmup_steps": train.warmup_steps,
        **ADAM,
        "max_grad_norm": train.max_grad_norm,
        "optim": optimizer_name(train.optimizer, cuda),
        "bf16": cuda and cfg.model.dtype == "bfloat16",
        "fp16": cuda and cfg.model.dtype == "float16",
        "use_cpu": not cuda,
        "eval_on_start": evaluates,  # under DeepSpeed an evaluation before `train` breaks it
        "eval_strategy": "steps" if evaluates and train.eval_steps else "no",
        "eval_steps": train.eval_steps or None,
        "prediction_loss_only": True,
        "logging_steps": 1,
        "disable_tqdm": True,
        "save_strategy": "steps",
        "save_steps": cfg.logging.save_steps,
        "save_total_limit": cfg.logging.save_total_limit,
        "report_to": cfg.logging.trackers,
        "project": cfg.logging.wandb_project,
        "run_name": cfg.run_name,
        "push_to_hub": False,  # done at the end, by us
    }
