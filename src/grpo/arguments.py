"""Our train settings as TRL's GRPOConfig; everything that TRL would otherwise choose is said."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig

from config.credit import objective_values
from config.schema import TrainRLConfig
from config.validate import micro_batches
from src.models.training import accumulate_in_float32
from utils.metrics.conversation import more_is_better

log = logging.getLogger(__name__)
DEEPSPEED_ADAM = "fused_adam"  # a name of ours: transformers knows none for it
# as the paper's code has it, which leaves them to transformers
ADAM = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "weight_decay": 0.0}

# as their papers have them; read only by train.objective=sapo and =vespo
SAPO = {"sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05}
VESPO = {"vespo_k_pos": 2.0, "vespo_lambda_pos": 3.0, "vespo_k_neg": 3.0, "vespo_lambda_neg": 2.0}


def boundary(steps: int, mu: int) -> int:
    """`steps` rounded up to a multiple of mu.

    A checkpoint between the mu steps of one batch would on resume hold new conversations for
    problems that were already taught once.
    """
    return -(-steps // mu) * mu


def optimizer_name(wanted: str, cuda: bool) -> str:
    """bitsandbytes' optimizers need CUDA; without it plain AdamW takes their place."""
    if cuda or ("8bit" not in wanted and "paged" not in wanted):
        return wanted
    log.info("train.optimizer=%s needs CUDA: adamw_torch is used instead", wanted)
    return "adamw_torch"


def grpo_arguments(cfg: TrainRLConfig, folder: Path, *, world_size: int) -> GRPOConfig:
    """Paper values come from the config; what is fixed has its reason beside it.

    A test lists the fields of GRPOConfig that are not named here, each with its reason.
    """
    arguments = GRPOConfig(
        **_batches(cfg, world_size),
        **_optimizer(cfg),
        **_loss(cfg),
        **_sampler(cfg),
        **_bookkeeping(cfg, folder),
    )
    accumulate_in_float32(arguments)
    return arguments


def _batches(cfg: TrainRLConfig, world_size: int) -> dict[str, Any]:
    """One batch of conversations is one optimizer step, taken mu times."""
    train, steps = cfg.train, micro_batches(cfg, world_size)
    return {
        "seed": cfg.seed,
        "data_seed": cfg.seed,
        "per_device_train_batch_size": train.per_device_train_batch_size,
        "gradient_accumulation_steps": steps,
        "steps_per_generation": steps,
        "num_generations": train.num_samples_per_problem,
        "num_iterations": train.mu,
        "num_train_epochs": train.epochs,
        "max_steps": boundary(train.max_steps, train.mu) if train.max_steps > 0 else -1,
        "shuffle_dataset": True,
        "remove_unused_columns": False,
    }


def _optimizer(cfg: TrainRLConfig) -> dict[str, Any]:
    train, cuda = cfg.train, torch.cuda.is_available()
    name = "adamw_torch" if train.optimizer == DEEPSPEED_ADAM else train.optimizer
    return {
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.lr_scheduler_type,
        "warmup_steps": train.warmup_steps,
        "optim": optimizer_name(name, cuda),
        **ADAM,
        "max_grad_norm": train.max_grad_norm,
        "gradient_checkpointing": train.gradient_checkpointing,
        "bf16": train.dtype == "bfloat16" and cuda,
        "fp16": False,
        "use_cpu": not cuda,
    }


def _loss(cfg: TrainRLConfig) -> dict[str, Any]:
    """The paper's objective: clipped ratio of each tutor token, KL to the start, token mean."""
    train, objective = cfg.train, objective_values(cfg.train)
    return {
        "beta": train.beta,
        # plain k3; True multiplies it by the ratio, whose gradient is another one even on-policy
        "use_bias_correction_kl": False,
        "sync_ref_model": False,  # the reference is the starting tutor throughout
        **asdict(objective),  # the paper's clips alike on both sides, token by token
        "delta": None,  # no second bound for negative advantages
        "multi_objective_aggregation": "sum_then_normalize",  # of `total`, the only one with weight
        "mask_truncated_completions": False,  # a long conversation has its reward; see `length`
        # what the paper's objective does not have
        "off_policy_mask_threshold": None,
        "top_entropy_quantile": 1.0,
        "entropy_coef": 0.0,
        "use_adaptive_entropy": False,
        "router_aux_loss_coef": 0.0,  # None would add an architecture's own
        **SAPO,
        **VESPO,
        # ratios are between passes over the same tokens: dropout would be their only difference
        "disable_dropout": True,
        "cast_lm_head_to_fp32": False,  # the engine's head is not, and both should agree
    }


def _sampler(cfg: TrainRLConfig) -> dict[str, Any]:
    """TRL divides its logits by the sampler's temperature, and corrects for what else differs.

    The paper's code does not correct.  3 is TRL's bound of the correction: of a token's ratio.
    """
    wanted = cfg.train.importance_sampling
    return {
        "temperature": cfg.teacher_model.vllm.temperature,
        "vllm_importance_sampling_correction": wanted != "none",
        "vllm_importance_sampling_mode": "token_truncate" if wanted == "none" else wanted,
        "vllm_importance_sampling_clip_max": 3.0,
        "vllm_importance_sampling_clip_min": None,
        "max_completion_length": cfg.generation.max_tokens_in_conversation,
    }


def _bookkeeping(cfg: TrainRLConfig, folder: Path) -> dict[str, Any]:
    train, logging_ = cfg.train, cfg.logging
    return {
        "output_dir": str(folder / "checkpoints"),
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": boundary(logging_.save_steps, train.mu),
        "save_total_limit": logging_.save_total_limit,
        "eval_strategy": "no",  # src/grpo/held_out.py says when
        "metric_for_best_model": train.best_metric if train.eval_steps else None,
        "greater_is_better": more_is_better(train.best_metric),
        "report_to": logging_.trackers,
        "project": logging_.wandb_project,
        "run_name": logging_.wandb_run_name or cfg.run_name,
        "disable_tqdm": True,
        "push_to_hub": False,  # done at the end, by us, private unless said otherwise
        "ddp_timeout": 1800,  # s; rollouts are not waited for inside collectives (rollouts/node.py)
    }
