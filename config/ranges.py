"""What each setting may be, taken alone: its choices, or the range of its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.objectives import OBJECTIVES
from config.post_tests import TESTS

# key -> allowed values.  Keys that a script's settings lack are passed over.
CHOICES: dict[str, tuple[str, ...]] = {
    "generation.missing_verdict": ("exclude", "reject"),
    "generation.post_test": tuple(TESTS),
    "generation.rewarded_test": ("same", "transfer"),
    "generation.gain": ("solve", "difference", "normalised"),
    "generation.failed_turn": ("record", "penalise", "withhold"),
    "generation.session_reward": ("last", "each"),
    "engines.backend": ("vllm", "transformers"),
    "engines.residency": ("turn", "phase", "always"),
    "engines.on_engine_death": ("stop", "restart"),
    "train.loss_type": ("dapo", "bnpo", "grpo", "dr_grpo"),
    "train.scale_rewards": ("group", "batch", "none"),
    "train.objective": tuple(OBJECTIVES),
    "train.credit": ("conversation", "turn"),
    "train.advantages": ("total", "per_reward"),
    "train.baseline": ("group", "leave_one_out"),
    # whole conversations fall out of the loss with the sequence-level modes
    "train.importance_sampling": ("token_truncate", "token_mask", "none"),
    "train.dtype": ("bfloat16", "float32"),  # float16 would need its loss scaled
    "train.method": ("sft", "mdpo"),
    "dataset.bad_rows": ("stop", "drop"),
    "model.dtype": ("bfloat16", "float16", "float32"),
    "eval.task": ("classroom", "students", "mathtutorbench", "reasoning"),
    "eval.control": ("none", "retry"),
}
# key of a list -> what each of its entries may be
ENTRIES: dict[str, tuple[str, ...]] = {
    "logging.trackers": ("wandb", "trackio", "tensorboard"),
}
# key -> (condition, what must hold)
Range = tuple[Callable[[Any], bool], str]
POSITIVE: Range = (lambda v: v > 0, "must be greater than 0")
AT_LEAST_1: Range = (lambda v: v >= 1, "must be at least 1")
NOT_NEGATIVE: Range = (lambda v: v >= 0, "must not be negative")
COUNT_OR_ALL: Range = (lambda v: v == -1 or v >= 1, "must be at least 1, or -1 for no limit")
RANGES: dict[str, Range] = {
    "generation.extra_penalty_for_rejected_judges": (
        lambda v: v >= 0,
        "lambda must not be negative (it is subtracted)",
    ),
    "generation.max_turns": AT_LEAST_1,
    "generation.problems_per_session": AT_LEAST_1,
    "generation.max_tokens_in_conversation": AT_LEAST_1,
    "generation.max_tokens_per_turn": AT_LEAST_1,
    "generation.max_tokens_per_student_attempt": AT_LEAST_1,
    "generation.max_tokens_per_judge_attempt": AT_LEAST_1,
    "generation.number_student_attempts": NOT_NEGATIVE,
    "generation.number_judge_attempts": NOT_NEGATIVE,
    "generation.number_initial_attempts": NOT_NEGATIVE,
    "generation.judge_retries": NOT_NEGATIVE,
    "generation.long_turn_tokens": NOT_NEGATIVE,
    "generation.long_thinking_tokens": NOT_NEGATIVE,
    "generation.turn_penalty": NOT_NEGATIVE,
    "generation.max_concurrent_conversations": NOT_NEGATIVE,
    "generation.solve_rejected_share": (lambda v: 0 <= v <= 1, "must lie between 0 and 1"),
    "generation.min_selectivity": (lambda v: -1 <= v <= 1, "must lie between -1 and 1"),
    "train.num_samples_per_problem": (
        lambda v: v >= 2,
        "must be at least 2: a conversation is compared with others of its problem",
    ),
    "train.number_of_problems_per_batch": AT_LEAST_1,
    "train.per_device_train_batch_size": AT_LEAST_1,
    "train.gradient_accumulation_steps": AT_LEAST_1,
    "train.epochs": AT_LEAST_1,
    "train.max_steps": COUNT_OR_ALL,
    "train.mu": AT_LEAST_1,
    "train.beta": NOT_NEGATIVE,
    "train.epsilon": (lambda v: 0 < v < 1, "must lie between 0 and 1"),
    "train.learning_rate": POSITIVE,
    "train.batch_size_ref_model": AT_LEAST_1,
    "train.max_grad_norm": POSITIVE,
    "train.warmup_steps": NOT_NEGATIVE,
    "train.eval_steps": NOT_NEGATIVE,
    "model.max_length": AT_LEAST_1,
    "dataset.max_train_examples": COUNT_OR_ALL,
    "dataset.max_val_examples": COUNT_OR_ALL,
    "logging.save_steps": AT_LEAST_1,
    "logging.save_total_limit": AT_LEAST_1,
    "engines.start_timeout_s": POSITIVE,
    "engines.request_timeout_s": POSITIVE,
    "engines.hang_timeout_s": NOT_NEGATIVE,
    "engines.max_concurrent_requests": NOT_NEGATIVE,
    "engines.max_requests": NOT_NEGATIVE,
    "engines.max_tokens": NOT_NEGATIVE,
    "engines.max_cost_usd": NOT_NEGATIVE,
    "skip_first_samples": NOT_NEGATIVE,
    "num_samples_per_problem": AT_LEAST_1,
    "eval.fork_turn": NOT_NEGATIVE,
    "eval.few_shot": NOT_NEGATIVE,
    "eval.max_new_tokens": AT_LEAST_1,
}
MODEL_RANGES: dict[str, Range] = {
    "vllm.temperature": NOT_NEGATIVE,
    "vllm.top_k": (lambda v: v >= -1, "must be at least 1, or 0 or -1 for off"),
    "vllm.top_p": (lambda v: 0 < v <= 1, "must lie between 0 and 1, where 1.0 is off"),
    "vllm.max_length": AT_LEAST_1,
    "vllm.max_num_seqs": AT_LEAST_1,
    "vllm.gpu_memory_utilization": (lambda v: 0 < v <= 1, "must lie between 0 and 1"),
    "vllm.number_of_gpus_per_instance": AT_LEAST_1,
    "vllm.max_number_of_instances": COUNT_OR_ALL,
    "vllm.cpu_kv_cache_gib": POSITIVE,
    "lora.rank": AT_LEAST_1,
    "lora.alpha": AT_LEAST_1,
    "lora.dropout": (lambda v: 0 <= v < 1, "must lie between 0 and 1"),
}
