"""Settings of the paper's own code (PedagogicalRL, commit bae10cd) that have changed since.

A key without a meaning is left out, and said with what replaces it; a renamed one is moved.  What
that code takes where a file is silent stands in `config/*/original.yaml`.
"""

from __future__ import annotations

# Keys are matched from their end: `vllm.use_v0` is one in every group.
GONE = {
    "train.save_policy_to_disk_every_n": (
        "new weights go to the engines in place after every update; "
        "logging.save_steps says how often a checkpoint is kept"
    ),
    "train.deepspeed_config_path": "DeepSpeed is set up by --config_file of the launcher",
    "vllm.use_v0": "vLLM has one engine now",
    "vllm.bits_and_bytes": (
        "vLLM 0.31 no longer has it; weights are served as they are. To save memory name an AWQ or "
        "FP8 checkpoint, or set quantization beside model_name_or_path"
    ),
    "generation.tokenizer_to_use": "the tutor's own tokenizer is used",
    "generation.server_port": "engines listen on Unix sockets",
    "generation.use_experimental_shared_memory": (
        "engines.weights_dir says it: /dev/shm is shared memory, another folder is on disk"
    ),
}
# settings that this project itself had once
EARLIER = {
    "generation.reward_weights": "generation.rewards.<name>.weight says it for each reward",
}
# key -> (old value, new value, why)
VALUES = {
    "dataset.max_train_examples": (None, -1, ""),
    "dataset.max_val_examples": (None, -1, ""),
    "train.optimizer": ("adamw_hf", "adamw_torch", "transformers has one AdamW now"),
}
RENAMED = {"dataset.val_datasets": "dataset.eval_datasets"}
# prompt files that it ships under other names; used where the old name is no file here
PROMPTS = {
    f"prompt_templates/{theirs}": f"prompt_templates/{ours}"
    for theirs, ours in {
        "teacher_prompt.txt": "teacher.txt",
        "student_final_prompt.txt": "student_final.txt",
        "student_attempt_prompt.txt": "student_attempt.txt",
        "student_initial_attempt_prompt.txt": "student_initial_attempt.txt",
        "initial_attempt_wrapper_prompt.txt": "initial_attempt_wrapper.txt",
        "socracticlm/socracticlm_teacher_prompt.txt": "teacher_socratic.txt",
    }.items()
}


def gone(key: str) -> str | None:
    """What replaces a key that has no meaning any more; None for every other."""
    return next((text for end, text in GONE.items() if f".{key}".endswith(f".{end}")), None)


def earlier(key: str) -> str | None:
    """What replaces a key that had a meaning here once: it is refused, not left out."""
    return next(
        (text for start, text in EARLIER.items() if f"{key}.".startswith(f"{start}.")), None
    )
