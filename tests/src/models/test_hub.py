"""Uploads are private unless said otherwise; W&B without a key stays offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.errors import RunError
from config.schema import HuggingFaceSettings, LoggingSettings
from src.models.hub import prepare_wandb, push_model


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The calls that would have gone to the hub."""
    calls: list[tuple[str, dict[str, Any]]] = []

    class Url(str):
        repo_id = "me/tutor"

    def create(self: Any, name: str, **given: Any) -> Url:
        calls.append((name, given))
        return Url("url")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", create)
    monkeypatch.setattr(
        "huggingface_hub.HfApi.upload_folder", lambda self, **given: calls.append(("up", given))
    )
    return calls


def test_a_repository_is_made_private(hub: list[Any], tmp_path: Path) -> None:
    assert push_model(tmp_path, HuggingFaceSettings(name="tutor")) == "me/tutor"
    assert push_model(tmp_path, HuggingFaceSettings(name="tutor", private=False))
    assert [call[1].get("private") for call in hub if call[0] == "tutor"] == [True, False]
    assert hub[1] == ("up", {"repo_id": "me/tutor", "folder_path": tmp_path})


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    """No network and no token here: the real client's own failure."""
    with pytest.raises(RunError, match=r"^huggingface\.push_to_hub: me/x: ") as caught:
        push_model(tmp_path, HuggingFaceSettings(name="me/x"))
    assert "\n" not in str(caught.value)


def test_wandb_hears_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECT", "ENTITY", "NAME", "RUN_GROUP", "TAGS", "MODE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
        monkeypatch.setenv(f"WANDB_{name}", "")  # so that it is restored afterwards
        monkeypatch.delenv(f"WANDB_{name}")
    import os

    prepare_wandb(LoggingSettings(wandb=False), "r")
    assert "WANDB_NAME" not in os.environ
    prepare_wandb(LoggingSettings(wandb=True, wandb_tags=["a", "b"]), "r")
    assert os.environ["WANDB_NAME"] == "r"
    assert os.environ["WANDB_TAGS"] == "a,b"
    assert os.environ["WANDB_MODE"] == "offline"
    assert "WANDB_ENTITY" not in os.environ
