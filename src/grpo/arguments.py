"""Our train settings as TRL's GRPOConfig; everything that TRL would otherwise choose is said."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from trl import GRPOConfig

from config.errors import ConfigError
from config.schema import TrainRLConfig
from config.validate import micro_batches
from utils.metrics.conversation import more_is_better

log = logging.getLogger(__name__)
DEEPSPEED_ADAM = "fused_adam"  # a name of ours: transformers knows none for it


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


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of the trained weights."""
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ConfigError(f"train.dtype: {name} is not one of bfloat16, float16, float32")
    return dtype


def grpo_arguments(cfg: TrainRLConfig, folder: Path, *, world_size: int) -> GRPOConfig:
    """Paper values come from the config; technical.md, Training, says why the rest is fixed."""
    train, generation, cuda = cfg.train, cfg.generation, torch.cuda.is_available()
    bf16 = train.dtype == "bfloat16"
    return GRPOConfig(
        output_dir=str(folder / "checkpoints"),
        seed=cfg.seed,
        data_seed=cfg.seed,
        # one batch of conversations is one optimizer step, taken mu times
        per_device_train_batch_size=train.per_device_train_batch_size,
        gradient_accumulation_steps=micro_batches(cfg, world_size),
        num_generations=train.num_samples_per_problem,
        num_iterations=train.mu,
        num_train_epochs=train.epochs,
        max_steps=boundary(train.max_steps, train.mu) if train.max_steps > 0 else -1,
        # optimization
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.lr_scheduler_type,
        warmup_steps=train.warmup_steps,
        optim=optimizer_name(
            "adamw_torch" if train.optimizer == DEEPSPEED_ADAM else train.optimizer, cuda
        ),
        max_grad_norm=train.max_grad_norm,
        gradient_checkpointing=train.gradient_checkpointing,
        bf16=bf16 and cuda,
        use_cpu=not cuda,
        # the loss (paper, section 4: clipped ratio, KL to the start, token mean)
        beta=train.beta,
        epsilon=train.epsilon,
        loss_type=train.loss_type,
        scale_rewards=train.scale_rewards,
        importance_sampling_level="token",
        multi_objective_aggregation="sum_then_normalize",
        mask_truncated_completions=False,
        disable_dropout=True,
        # the sampler: TRL divides its logits by the same temperature, and corrects the rest
        temperature=cfg.teacher_model.vllm.temperature,
        vllm_importance_sampling_correction=train.importance_sampling != "none",
        vllm_importance_sampling_mode=(
            "token_truncate" if train.importance_sampling == "none" else train.importance_sampling
        ),
        max_completion_length=generation.max_tokens_in_conversation,
        # bookkeeping
        remove_unused_columns=False,
        shuffle_dataset=True,
        logging_steps=1,
        save_strategy="steps",
        save_steps=boundary(cfg.logging.save_steps, train.mu),
        save_total_limit=cfg.logging.save_total_limit,
        eval_strategy="no",  # src/grpo/held_out.py says when
        metric_for_best_model=train.best_metric if train.eval_steps else None,
        greater_is_better=more_is_better(train.best_metric),
        report_to=["wandb"] if cfg.logging.wandb else [],
        run_name=cfg.logging.wandb_run_name or cfg.run_name,
        disable_tqdm=True,
        push_to_hub=False,  # done at the end, by us, private unless said otherwise
        ddp_timeout=1800,  # s; rollouts are not waited for inside collectives (src/grpo/node.py)
    )
