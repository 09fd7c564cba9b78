"""Combinations of settings; each refusal is one line that begins with the full key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from config.credit import check_credit, check_turn_rules
from config.errors import ConfigError
from config.limits import check_limits
from config.normalise import is_file
from config.post_tests import check_post_test
from config.rewards import check_rewards
from config.roles import configured, hosts_of, roles_of
from config.rules import named_rules, turn_rules
from config.schema import (
    DatasetEntry,
    EvalConfig,
    GenerationSettings,
    TrainRLConfig,
    TrainSFTConfig,
)
from config.sessions import check_sessions
from config.students import check_students, students_of

UNSET = "???"
PERSONA = "persona"  # as generation.student_final_system_prompt_path: the persona's own text
NO_PROMPT = "none"  # as generation.teacher_prompt_path: an endpoint's own system prompt is kept
QUANTISED_NAME = re.compile(r"(?i)\b(awq|gptq|fp8|int[48]|nf4|bnb-4bit|w4a16|w8a8|gguf)\b")

Settings = TrainRLConfig | EvalConfig | TrainSFTConfig


def validate(settings: Any) -> None:
    """Raises ConfigError for the first setting that cannot be used."""
    check_limits(settings)
    _check_names(settings)
    for name, entries in _datasets(settings):
        for number, entry in enumerate(entries):
            _check_entry(f"dataset.{name}[{number}]", entry)
    if isinstance(settings, TrainRLConfig | EvalConfig):
        check_students(settings.generation, training=isinstance(settings, TrainRLConfig))
        _check_generation(settings.generation)
        check_sessions(settings)
        check_post_test(settings)
        _check_roles(settings)
    if isinstance(settings, TrainRLConfig):
        _check_training(settings)
    if isinstance(settings, TrainSFTConfig):
        if settings.model.model_name_or_path in ("", UNSET):
            raise ConfigError("model.model_name_or_path: no value given")
        _require_datasets(settings)


def micro_batches(settings: TrainRLConfig, ranks: int) -> int:
    """Micro-batches of one rank in one optimizer step: a batch of conversations is one step.

    Raises ConfigError where ranks and micro-batches do not cut the batch evenly.
    """
    train = settings.train
    rows = train.number_of_problems_per_batch * train.num_samples_per_problem
    steps, left = divmod(rows, ranks * train.per_device_train_batch_size)
    if left:
        raise ConfigError(
            f"train.per_device_train_batch_size: {rows} conversations a batch "
            f"(train.number_of_problems_per_batch x train.num_samples_per_problem) cannot be cut "
            f"into micro-batches of {train.per_device_train_batch_size} on {ranks} ranks"
        )
    return steps


def check_offload(settings: TrainRLConfig, zero_stage: int, weights_in_ram: bool) -> None:
    """Raises ConfigError where DeepSpeed has no state that it could move for a rollout.

    `zero_stage` 0: no DeepSpeed; `weights_in_ram`: its offload_param_device is not none.
    """
    if not settings.train.offload_during_rollouts:
        return
    reason = None
    if zero_stage == 0:
        reason = "needs DeepSpeed (a --config_file with a zero_stage)"
    elif weights_in_ram:
        reason = "the weights are in RAM already, by --config_file's offload_param_device"
    elif settings.teacher_model.lora.enable:
        reason = "adapters have hardly any state to move"
    elif settings.engines.residency == "always":
        reason = "engines.residency=always: no engine takes the room that it would make"
    if reason is not None:
        raise ConfigError(f"train.offload_during_rollouts: {reason}")


def _nearest(wrong: str, right: Iterator[str] | list[str]) -> str:
    near = difflib.get_close_matches(wrong, list(right), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _check_names(settings: Settings) -> None:
    name = settings.run_name
    if name is not None and not re.fullmatch(r"[\w+=@-][\w.+=@-]*", name):
        raise ConfigError(f"run_name: {name!r} cannot be a folder's name (letters, digits, _ - .)")
    hub = getattr(settings, "huggingface", None)
    if hub is not None and hub.push_to_hub and not hub.name:
        raise ConfigError("huggingface.name: needed where huggingface.push_to_hub is true")


def _datasets(settings: Settings) -> Iterator[tuple[str, Sequence[DatasetEntry]]]:
    yield "train_datasets", settings.dataset.train_datasets
    yield "eval_datasets", settings.dataset.eval_datasets


def _check_entry(key: str, entry: DatasetEntry) -> None:
    if entry.name_or_path in ("", UNSET):
        raise ConfigError(f"{key}.name_or_path: no value given")
    low, high = entry.min_solve_rate, entry.max_solve_rate
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{key}.min_solve_rate: greater than max_solve_rate ({low} > {high})")


def _require_datasets(settings: TrainRLConfig | TrainSFTConfig) -> None:
    if not settings.dataset.train_datasets:
        raise ConfigError("dataset.train_datasets: no dataset given")
    if getattr(settings.train, "eval_steps", 0) and not settings.dataset.eval_datasets:
        raise ConfigError("dataset.eval_datasets: needed where train.eval_steps is not 0")


def _check_generation(generation: GenerationSettings) -> None:
    forced = generation.forced_conversation_type
    if generation.force_thinking and not generation.use_thinking:
        raise ConfigError("generation.force_thinking: needs generation.use_thinking=true")
    if not generation.student_names:
        raise ConfigError("generation.student_names: empty; [null] is one student without a name")
    _check_rule_names(generation)
    check_rewards(generation)
    check_turn_rules(generation)
    if generation.max_turns < 2 and forced != "guided":
        raise ConfigError(
            "generation.max_turns: 1 is the student's own attempt and no word of the tutor's; "
            "at least 2, or generation.forced_conversation_type=guided"
        )
    for key, path in _prompt_files(generation):
        if not is_file(path):
            raise ConfigError(f"{key}: no such prompt file: {path}")


def _check_rule_names(generation: GenerationSettings) -> None:
    rules = [*generation.judges_rules_prompts_paths, *generation.turn_rules]
    named = {
        "rules_only_reported": generation.rules_only_reported,
        "rules_that_see_the_answer": generation.rules_that_see_the_answer,
        "leak_rule": [generation.leak_rule],
    }
    for key, names in named.items():
        default = getattr(GenerationSettings(), key)  # its rules may have been taken away
        for name in names:
            if name not in rules and name not in default:
                near = _nearest(name, rules)
                raise ConfigError(f"generation.{key}: no rule is called {name}{near}")


def _prompt_files(generation: GenerationSettings) -> Iterator[tuple[str, str]]:
    for name, value in vars(generation).items():
        kept = PERSONA if name != "teacher_prompt_path" else NO_PROMPT
        if name.endswith("_path") and value != kept:
            yield f"generation.{name}", value
    for student in students_of(generation):
        yield student.setting, student.persona
    for name, path in generation.peers.items():
        yield f"generation.peers.{name}", path
    for rule in (*named_rules(generation), *turn_rules(generation)):
        if rule.kind == "prompt":
            yield rule.setting, rule.source


def _check_roles(settings: TrainRLConfig | EvalConfig) -> None:
    for role, model in configured(settings).items():
        hosts = hosts_of(model)
        if len(hosts) > 1:
            raise ConfigError(f"{role}.{hosts[1]}: cannot be combined with {role}.{hosts[0]}")
    for asked in roles_of(settings).values():
        if asked.model.model_name_or_path in ("", UNSET):
            why = _why(asked.setting, settings.generation)
            raise ConfigError(f"{asked.setting}.model_name_or_path: no value given{why}")


def _why(role: str, generation: GenerationSettings) -> str:
    """Which rule makes a run need a judge, and how to do without."""
    if role != "judge_model":
        return ""
    rule = next(rule for rule in named_rules(generation) if rule.kind == "prompt")
    return (
        f"; the rule {rule.name} is a prompt ({rule.source}), which a model must judge "
        f"({rule.setting}=none takes it away)"
    )


def _check_training(settings: TrainRLConfig) -> None:
    _require_datasets(settings)
    tutor, generation = settings.teacher_model, settings.generation
    for host in hosts_of(tutor):
        raise ConfigError(
            f"teacher_model.{host}: the tutor under training cannot be hosted elsewhere; "
            "its weights change"
        )
    if tutor.quantization or QUANTISED_NAME.search(tutor.model_name_or_path):
        key = "quantization" if tutor.quantization else "model_name_or_path"
        raise ConfigError(
            f"teacher_model.{key}: the tutor under training cannot be quantised; "
            "name its full-precision checkpoint"
        )
    reshaping = {"top_k": tutor.vllm.top_k > 0, "top_p": tutor.vllm.top_p < 1}
    for name, on in reshaping.items():
        if on:
            raise ConfigError(
                f"teacher_model.vllm.{name}: off in training ({'0' if name == 'top_k' else '1.0'}):"
                " the trainer's distribution must be the sampler's"
            )
    if tutor.lora.enable and tutor.lora.dropout:
        raise ConfigError(
            f"teacher_model.lora.dropout: 0 in GRPO, got {tutor.lora.dropout}: the ratio of two "
            "passes over the same tokens would be one of their dropout masks"
        )
    if tutor.vllm.temperature <= 0:
        raise ConfigError("teacher_model.vllm.temperature: must be greater than 0 in training")
    if generation.max_tokens_per_turn >= tutor.vllm.max_length:
        raise ConfigError("teacher_model.vllm.max_length: less than one turn and its prompt")
    if settings.reward_model.model_name_or_path != "None" and not (
        generation.number_student_attempts
    ):
        raise ConfigError(
            "generation.number_student_attempts: 0 leaves nothing to reward; "
            "reward_model.model_name_or_path=None trains without the solve rate"
        )
    if settings.train.optimizer == "":
        raise ConfigError("train.optimizer: no value given")
    check_credit(settings.train, generation)
    _check_overlap(settings)


def _check_overlap(settings: TrainRLConfig) -> None:
    """Conversations beside the trainer need engines that stay awake, and their correction."""
    if not settings.train.overlap:
        return
    if settings.engines.backend != "vllm":
        raise ConfigError(
            "train.overlap: needs engines.backend=vllm; in this process conversations would be "
            "sampled from the very weights that are being trained"
        )
    if settings.engines.residency != "always":
        raise ConfigError(
            "train.overlap: needs engines.residency=always; engines that sleep while the trainer "
            "works hold no conversations"
        )
    if settings.train.importance_sampling == "none":
        raise ConfigError(
            "train.importance_sampling: train.overlap needs token_truncate or token_mask; its "
            "conversations are one update old"
        )
