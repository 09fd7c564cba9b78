"""Models loaded into this process: one for all roles that name it alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.roles import Role, roles_of
from config.schema import EvalConfig
from src.inference_providers.base import Sampling
from src.inference_providers.in_process import in_process_providers
from tests.src.inference_providers.tiny import save_checkpoint

ROLES = ("teacher", "student", "judge")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("model"))


def config(folder: Path, **judge: Any) -> EvalConfig:
    cfg = EvalConfig()
    for role, length in zip(ROLES, (100, 300, 200), strict=True):
        model = getattr(cfg, f"{role}_model")
        model.model_name_or_path, model.vllm.max_length = str(folder), length
    for key, value in judge.items():
        setattr(cfg.judge_model, key, value)
    return cfg


def asked(cfg: EvalConfig) -> list[Role]:
    return list(roles_of(cfg).values())


async def test_one_loaded_model_serves_all_and_the_longest_context(folder: Path) -> None:
    providers = in_process_providers(asked(config(folder)))
    assert list(providers) == list(ROLES)
    [shared] = set(providers.values())
    assert shared.max_length == 300
    answer = await shared.complete_tokens([65] * 290, Sampling(temperature=1.0, max_tokens=64))
    assert answer.completion_tokens <= 10
    await shared.close()


def test_another_dtype_is_another_model(folder: Path) -> None:
    providers = in_process_providers(asked(config(folder, dtype="bfloat16")))
    assert providers["teacher"] is providers["student"] is not providers["judge"]
    kinds = {role: str(next(p.model.parameters()).dtype) for role, p in providers.items()}
    assert kinds["judge"] == "torch.bfloat16" != kinds["student"]


def test_only_what_is_asked_for_is_loaded_and_errors_name_the_role(folder: Path) -> None:
    cfg = config(folder, model_name_or_path="/no/such/model")
    assert list(in_process_providers([roles_of(cfg)["student"]])) == ["student"]
    with pytest.raises(ConfigError, match=r"^judge_model\.model_name_or_path"):
        in_process_providers(asked(cfg))
