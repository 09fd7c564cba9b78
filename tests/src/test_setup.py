"""What is seen to before an engine starts: chat templates, addresses, keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.setup import check_classroom
from tests.src.tokens import template_families as families
from utils.settings.hydra_entry import load_config


def settings(**student: Any) -> TrainRLConfig:
    overrides = [f"student_model.{key}={value}" for key, value in student.items()]
    return load_config("config/train_rl", TrainRLConfig, "toy", overrides)


def model_with(template: str, folder: Path) -> Path:
    families.tokenizer(template).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


def test_a_template_that_cannot_be_used_is_refused_before_anything_slow(tmp_path: Path) -> None:
    bare = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    check_classroom(settings())
    with pytest.raises(ConfigError, match=r"^student_model\.model_name_or_path: its chat templ"):
        check_classroom(settings(model_name_or_path=model_with(bare, tmp_path)))


@pytest.mark.parametrize(
    ("student", "says"),
    [
        ({"base_url": "http://x/v1/chat/completions"}, "must end before /chat/completions"),
        ({"base_url": "x"}, "must be http"),
        ({"base_url": "http://x/v1", "api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
    ],
)
def test_an_address_or_key_that_cannot_be_used_is_refused_there(
    student: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=r"^student_model\.base_url: ") as caught:
        check_classroom(settings(**student))
    assert says in str(caught.value)
