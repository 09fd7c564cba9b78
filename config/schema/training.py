"""Settings of training: the objective of GRPO, and fine-tuning before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from config.limits import AtLeast0, AtLeast1, CountOrAll, NotNegative, OneOf, Positive, Range
from config.objectives import OBJECTIVES
from config.schema.models import LoraSettings


@dataclass
class TrainSettings:
    """GRPO (paper, section 4 and appendix); the rest of the objective: `src/grpo/arguments.py`."""

    gradient_checkpointing: bool = True  # compute activations again, to save memory
    num_samples_per_problem: Annotated[  # conversations about each problem: a group
        int,
        Range("at least 2: a conversation is compared with others of its problem", lambda v: v > 1),
    ] = 8
    number_of_problems_per_batch: AtLeast1 = 16  # one batch of conversations is one optimizer step
    per_device_train_batch_size: AtLeast1 = 2  # conversations of a micro-batch on each GPU
    lr_scheduler_type: str = "constant"  # a schedule of transformers
    # adamw_torch where there is no CUDA; fused_adam: DeepSpeed's, whose state ZeRO-3 can offload
    optimizer: str = "paged_adamw_8bit"
    epochs: AtLeast1 = 1  # passes over the problems
    max_steps: CountOrAll = -1  # optimizer steps
    beta: NotNegative = 0.001  # KL to the starting tutor
    learning_rate: Positive = 5e-7  # after the warm-up
    mu: AtLeast1 = 2  # optimizer steps on each batch of conversations
    # ratios are clipped to 1 - epsilon and 1 + epsilon
    epsilon: Annotated[float, Range("between 0 and 1", lambda v: 0 < v < 1)] = 0.2
    batch_size_ref_model: AtLeast1 = 4  # conversations at a time where no gradient is needed
    # new
    # what is computed in; weights are float32 where no DeepSpeed keeps a float32 copy of them
    dtype: Annotated[str, OneOf(("bfloat16", "float32"))] = "bfloat16"  # float16: no loss scaling
    # what the loss is averaged over; dapo: the batch's tokens; bnpo: over each micro-batch's
    loss_type: Annotated[str, OneOf(("dapo", "bnpo", "grpo", "dr_grpo"))] = "dapo"
    # what advantages are divided by: the spread in the group, or in the batch
    scale_rewards: Annotated[str, OneOf(("group", "batch", "none"))] = "group"
    # what is clipped and averaged (docs/credit.md)
    objective: Annotated[str, OneOf(tuple(OBJECTIVES))] = "grpo"
    # what has an advantage of its own: one for all of its turns; turn: one for each
    credit: Annotated[str, OneOf(("conversation", "turn"))] = "conversation"
    # of the sum of rewards; per_reward: each reward normalised in its group, then summed
    advantages: Annotated[str, OneOf(("total", "per_reward"))] = "total"
    # what is subtracted from a reward: the group's mean; leave_one_out: that of the others
    baseline: Annotated[str, OneOf(("group", "leave_one_out"))] = "group"
    # sampler/trainer correction; none: off.  By token: whole conversations would fall out of the
    # loss with the sequence-level modes
    importance_sampling: Annotated[str, OneOf(("token_truncate", "token_mask", "none"))] = (
        "token_truncate"
    )
    max_grad_norm: Positive = 1.0  # gradients are clipped to this norm
    warmup_steps: AtLeast0 = 0  # steps until the learning rate is reached
    padding_free: bool = True  # rows packed into one, logits only where the mask is 1
    separate_old_pass: bool = False  # score a batch before its first step, as TRL itself does
    use_deepspeed: bool = True  # false: one process, no DeepSpeed
    offload_during_rollouts: bool = False  # its state lies in RAM while conversations are held
    eval_steps: AtLeast0 = 0  # evaluate on eval_datasets every so many optimizer steps; 0: never
    best_metric: str = "reward_total"  # a name of metrics.json: its best checkpoint is kept
    collect_only: bool = False  # run the classroom and record; no training
    overlap: bool = False  # hold the next batch while training on this one, on older weights


@dataclass
class SftModelSettings:
    """The model that is fine-tuned."""

    model_name_or_path: str = "???"  # a hub id, or a folder
    tokenizer_name_or_path: str | None = None  # null: the model's own
    max_length: AtLeast1 = 16384  # tokens of a conversation; a longer one cannot be used
    lora: LoraSettings = field(default_factory=lambda: LoraSettings(rank=256, alpha=512))
    revision: str | None = None  # new; of the hub's repository
    # new; what is computed in
    dtype: Annotated[str, OneOf(("bfloat16", "float16", "float32"))] = "bfloat16"
    init_seed: int | None = None  # new; start from random weights of this seed (a config only)


@dataclass
class SftTrainSettings:
    """Fine-tuning on conversations, or on pairs of them."""

    method: Annotated[str, OneOf(("sft", "mdpo"))] = "sft"  # new; mdpo: multi-turn DPO on pairs
    gradient_accumulation_steps: AtLeast1 = 4  # micro-batches of an optimizer step
    gradient_checkpointing: bool = True  # compute activations again, to save memory
    per_device_train_batch_size: AtLeast1 = 1  # conversations of a micro-batch on each GPU
    lr_scheduler_type: str = "cosine"  # a schedule of transformers
    optimizer: str = "paged_adamw_8bit"  # adamw_torch where there is no CUDA
    epochs: AtLeast1 = 1  # passes over the conversations
    max_steps: CountOrAll = -1  # optimizer steps
    # new
    learning_rate: Positive = 2e-5  # after the warm-up
    warmup_steps: AtLeast0 = 0  # steps until the learning rate is reached
    packing: bool = True  # off on a CPU, where grouping by length is faster
    bad_rows: str | None = None  # the older name of dataset.bad_rows
    beta: NotNegative = 0.1  # of MDPO
    max_grad_norm: Positive = 1.0  # gradients are clipped to this norm
    eval_steps: AtLeast0 = 0  # evaluate every so many optimizer steps; 0: never
