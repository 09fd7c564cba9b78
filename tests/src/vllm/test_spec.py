"""Planning engines from configs: who shares, who has none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.rules import needs_judge
from config.schema import EngineSettings, EvalConfig, GenerationSettings, TrainRLConfig
from src.vllm.engines import EngineSet
from src.vllm.spec import EngineSpec, plan_engines


def config(kind: type = TrainRLConfig, **models: str) -> TrainRLConfig | EvalConfig:
    cfg = kind()
    for role in ("teacher", "student", "judge"):
        getattr(cfg, f"{role}_model").model_name_or_path = models.get(role, role[0].upper())
    return cfg


def plan(cfg: TrainRLConfig | EvalConfig) -> list[tuple[str, tuple[str, ...]]]:
    return [(engine.name, engine.roles) for engine in plan_engines(cfg)]


def test_three_models_are_three_engines_and_only_the_trained_tutor_is_updatable() -> None:
    engines = plan_engines(config())
    assert [(e.name, e.model, e.updatable) for e in engines] == [
        ("teacher", "T", True),
        ("student", "S", False),
        ("judge", "J", False),
    ]
    assert not any(e.updatable for e in plan_engines(config(EvalConfig)))


def test_one_model_for_all_is_two_engines_in_training_and_one_in_evaluation() -> None:
    same = {"teacher": "M", "student": "M", "judge": "M"}
    shared = ("student-judge", ("student", "judge"))
    assert plan(config(**same)) == [("teacher", ("teacher",)), shared]
    assert plan(config(EvalConfig, **same)) == [
        ("teacher-student-judge", ("teacher", "student", "judge"))
    ]


def test_a_tutor_that_is_not_trained_shares_in_collecting_too() -> None:
    cfg = config(teacher="M", student="M", judge="M")
    cfg.train.collect_only = True
    [engine] = plan_engines(cfg)
    assert engine.roles == ("teacher", "student", "judge") and not engine.updatable


@pytest.mark.parametrize(
    ("key", "value"),
    [("revision", "abc"), ("dtype", "float16"), ("quantization", "awq")],
)
def test_the_same_name_with_another_build_of_the_model_is_not_shared(key: str, value: str) -> None:
    cfg = config(student="M", judge="M")
    setattr(cfg.judge_model, key, value)
    assert len(plan_engines(cfg)) == 3


def test_placement_must_agree_but_lengths_and_temperatures_need_not() -> None:
    cfg = config(student="M", judge="M")
    cfg.student_model.vllm.temperature = 0.1
    cfg.student_model.vllm.max_length = 100
    cfg.student_model.vllm.load_and_unload = False
    cfg.judge_model.vllm.kv_cache_memory_bytes = 5
    shared = plan_engines(cfg)[1]
    assert shared.roles == ("student", "judge")
    assert (shared.max_length, shared.sleeps, shared.kv_cache_memory_bytes) == (8192, False, 5)
    cfg.judge_model.vllm.number_of_gpus_per_instance = 2
    assert len(plan_engines(cfg)) == 3


@pytest.mark.parametrize(
    ("attempts", "rules", "needed"),
    [
        (2, {"a": "prompts/a.txt"}, True),
        (0, {"a": "prompts/a.txt"}, False),
        (2, {"a": "matcher", "b": "my.module:judge"}, False),
        (2, {"a": "matcher", "b": "prompts/b.txt"}, True),
        (2, {}, False),
    ],
)
def test_a_judge_engine_is_there_only_if_a_model_is_asked(
    attempts: int, rules: dict[str, str], needed: bool
) -> None:
    generation = GenerationSettings(
        number_judge_attempts=attempts, judges_rules_prompts_paths=rules
    )
    assert needs_judge(generation) is needed
    cfg = config()
    cfg.generation = generation
    assert ("judge" in [e.name for e in plan_engines(cfg)]) is needed


@pytest.mark.parametrize(
    ("key", "value"), [("use_openrouter", True), ("use_gemini", True), ("base_url", "http://x")]
)
def test_hosted_roles_have_no_engine(key: str, value: object) -> None:
    cfg = config()
    setattr(cfg.student_model, key, value)
    assert [e.name for e in plan_engines(cfg)] == ["teacher", "judge"]


def test_the_in_process_backend_has_no_engines() -> None:
    cfg = config()
    cfg.engines.backend = "transformers"
    assert plan_engines(cfg) == []


def test_only_residencies_that_switch_let_engines_sleep() -> None:
    cfg = config()
    cfg.judge_model.vllm.enable_sleep_mode = False
    assert [e.sleeps for e in plan_engines(cfg)] == [True, True, False]
    cfg.engines.residency = "always"
    assert not any(e.sleeps for e in plan_engines(cfg))


def test_a_spec_survives_its_json() -> None:
    cfg = config()
    cfg.teacher_model.lora.enable = True
    cfg.student_model.vllm.extra_args = {"seed": "3"}
    for engine in plan_engines(cfg):
        assert EngineSpec.from_json(json.loads(json.dumps(engine.to_json()))) == engine
    assert [e.lora_rank for e in plan_engines(cfg)] == [16, 0, 0]


def test_without_vllm_one_line_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engines = EngineSet(plan_engines(config()), EngineSettings(), tmp_path)
    with pytest.raises(ConfigError, match=r"^engines\.backend: vLLM is not installed"):
        engines.start()
