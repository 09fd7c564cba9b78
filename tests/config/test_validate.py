"""Each refusal begins with the key of the setting to change."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import ConfigError
from config.normalise import normalise
from config.schema import DatasetEntry, EvalConfig, TrainRLConfig, TrainSFTConfig
from config.validate import micro_batches, validate


def rl_settings(**changes: Any) -> TrainRLConfig:
    settings = TrainRLConfig()
    for role in (settings.teacher_model, settings.student_model, settings.judge_model):
        role.model_name_or_path = "some/model"
    settings.dataset.train_datasets = [DatasetEntry(name_or_path="some/data")]
    for key, value in changes.items():
        *groups, leaf = key.split("__")
        target: Any = settings
        for group in groups:
            target = getattr(target, group)
        assert hasattr(target, leaf), key
        setattr(target, leaf, value)
    return settings


def test_defaults_with_models_and_data_are_valid() -> None:
    validate(rl_settings())


REFUSED = [
    ("train__overlap", True),
    ("generation__extra_penalty_for_rejected_judges", -0.1),
    ("generation__max_turns", 0),
    ("generation__max_turns", 1),
    ("generation__rules_that_see_the_answer", ["does_not_leak_anwser"]),
    ("generation__missing_verdict", "okay"),
    ("generation__forced_conversation_type", "led"),
    ("generation__force_thinking", True),
    ("generation__student_names", []),
    ("generation__teacher_prompt_path", "prompt_templates/nowhere.txt"),
    ("generation__rules_only_reported", ["does_not_leak"]),
    ("generation__number_student_attempts", 0),
    ("train__mu", 0),
    ("train__num_samples_per_problem", 1),
    ("train__epsilon", 1.0),
    ("train__learning_rate", 0.0),
    ("train__importance_sampling", "sequence_mask"),
    ("train__dtype", "int8"),
    ("engines__backend", "sglang"),
    ("engines__residency", "sometimes"),
    ("teacher_model__model_name_or_path", "???"),
    ("teacher_model__model_name_or_path", "Qwen/Qwen2.5-7B-Instruct-AWQ"),
    ("teacher_model__quantization", "fp8"),
    ("teacher_model__use_openrouter", True),
    ("teacher_model__base_url", "http://127.0.0.1:1/v1"),
    ("teacher_model__vllm__top_k", 50),
    ("teacher_model__vllm__top_p", 0.9),
    ("teacher_model__vllm__temperature", 0.0),
    ("student_model__vllm__gpu_memory_utilization", 1.5),
    ("judge_model__model_name_or_path", "???"),
    ("logging__save_steps", 0),
    ("run_name", "../elsewhere"),
    ("run_name", ".hidden"),
    ("skip_first_samples", -1),
]


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_refused_naming_the_setting(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        validate(rl_settings(**{key: value}))
    assert str(refusal.value).startswith(key.replace("__", ".") + ":")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("engines__backend", "transformers", "train.overlap: needs engines.backend=vllm"),
        ("engines__residency", "phase", "train.overlap: needs engines.residency=always"),
        ("train__importance_sampling", "none", "train.importance_sampling: train.overlap needs"),
    ],
)
def test_overlap_needs_engines_that_stay_awake(key: str, value: str, named: str) -> None:
    fine = {"train__overlap": True, "engines__residency": "always"}
    validate(rl_settings(**fine))
    with pytest.raises(ConfigError) as refusal:
        validate(rl_settings(**(fine | {key: value})))
    assert str(refusal.value).startswith(named) and "\n" not in str(refusal.value)


def test_dataset_entries_are_named_by_number() -> None:
    entries = [DatasetEntry(name_or_path="a"), DatasetEntry(name_or_path="b", ratio=0.0)]
    with pytest.raises(ConfigError, match=r"^dataset\.train_datasets\[1\]\.ratio:"):
        validate(rl_settings(dataset__train_datasets=entries))
    band = DatasetEntry(name_or_path="a", min_solve_rate=0.6, max_solve_rate=0.4)
    with pytest.raises(ConfigError, match=r"^dataset\.train_datasets\[0\]\.min_solve_rate:"):
        validate(rl_settings(dataset__train_datasets=[band]))
    with pytest.raises(ConfigError, match=r"^dataset\.train_datasets: no dataset"):
        validate(rl_settings(dataset__train_datasets=[]))


def test_a_ratio_is_a_weight() -> None:
    entries = [DatasetEntry(name_or_path="a", ratio=3), DatasetEntry(name_or_path="b")]
    validate(rl_settings(dataset__train_datasets=entries))


def test_the_older_name_of_bad_rows_still_works() -> None:
    settings = TrainSFTConfig()
    settings.train.bad_rows = "drop"
    normalise(settings)
    assert (settings.dataset.bad_rows, settings.train.bad_rows) == ("drop", None)
    settings.dataset.bad_rows = "skip"
    with pytest.raises(ConfigError, match=r"^dataset\.bad_rows: 'skip' is not one of stop, drop"):
        validate(settings)


def test_no_judge_model_is_needed_where_no_verdict_is_asked() -> None:
    settings = rl_settings(judge_model__model_name_or_path="???")
    settings.generation.number_judge_attempts = 0
    validate(settings)
    settings.generation.number_judge_attempts = 1
    settings.generation.judges_rules_prompts_paths = {"does_not_leak_answer": "matcher"}
    validate(settings)


def test_a_judge_is_asked_for_with_the_rule_that_needs_it() -> None:
    settings = rl_settings(judge_model__model_name_or_path="???")
    settings.generation.judges_rules_prompts_paths = {
        "coded": "matcher",
        "kind": "prompt_templates/judges/follows_pedagogical_values.txt",
    }
    settings.generation.rules_that_see_the_answer = []
    with pytest.raises(ConfigError, match="no value given; the rule kind is a prompt") as refusal:
        validate(settings)
    assert "judges_rules_prompts_paths.kind=none" in str(refusal.value)


def test_without_the_solve_rate_no_solutions_are_needed() -> None:
    validate(
        rl_settings(generation__number_student_attempts=0, reward_model__model_name_or_path="None")
    )


def test_normalise() -> None:
    settings = rl_settings(generation__forced_conversation_type="attempt")
    settings.generation.judges_rules_prompts_paths["follows_pedagogical_values"] = "none"
    settings.engines.backend = "transformers"
    settings.reward_model.model_name_or_path = "none"
    normalise(settings)
    assert settings.generation.forced_conversation_type == "attempted"
    assert list(settings.generation.judges_rules_prompts_paths) == ["does_not_leak_answer"]
    assert settings.train.use_deepspeed is False
    assert settings.reward_model.model_name_or_path == "None"


@pytest.mark.parametrize(
    ("problems", "samples", "per_device", "ranks", "fits"),
    [(16, 8, 2, 4, True), (4, 4, 2, 2, True), (3, 4, 2, 4, False), (1, 3, 2, 1, False)],
)
def test_batch_is_cut_evenly(
    problems: int, samples: int, per_device: int, ranks: int, fits: bool
) -> None:
    settings = rl_settings(
        train__number_of_problems_per_batch=problems,
        train__num_samples_per_problem=samples,
        train__per_device_train_batch_size=per_device,
    )
    if fits:
        assert micro_batches(settings, ranks) * ranks * per_device == problems * samples
    else:
        with pytest.raises(ConfigError, match=r"^train\.per_device_train_batch_size:"):
            micro_batches(settings, ranks)


def test_a_hosted_tutor_is_fine_in_evaluation() -> None:
    settings = EvalConfig()
    for role in (settings.teacher_model, settings.student_model, settings.judge_model):
        role.model_name_or_path = "some/model"
    settings.teacher_model.use_openrouter = True
    validate(settings)
    settings.teacher_model.use_gemini = True
    with pytest.raises(ConfigError, match=r"^teacher_model\.use_gemini: cannot be combined"):
        validate(settings)


def test_sft_needs_model_and_data() -> None:
    settings = TrainSFTConfig()
    settings.dataset.train_datasets = [DatasetEntry(name_or_path="a")]
    with pytest.raises(ConfigError, match=r"^model\.model_name_or_path:"):
        validate(settings)
    settings.model.model_name_or_path = "some/model"
    validate(settings)
    settings.dataset.train_datasets = []
    with pytest.raises(ConfigError, match=r"^dataset\.train_datasets:"):
        validate(settings)
