"""Uploads are private unless said otherwise; W&B without a key stays offline."""

from __future__ import annotations

import os
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


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PROJECT", "ENTITY", "NAME", "RUN_GROUP", "TAGS", "MODE", "DIR", "RUN_ID", "RESUME")
    for name in (f"WANDB_{name}" for name in (*names, "API_KEY")):
        monkeypatch.setenv(name, "")  # so that it is restored afterwards
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_wandb")
def test_wandb_hears_the_settings(tmp_path: Path) -> None:
    prepare_wandb(LoggingSettings(wandb=False), tmp_path)
    assert "WANDB_NAME" not in os.environ
    prepare_wandb(LoggingSettings(wandb=True, wandb_tags=["a", "b"]), tmp_path)
    assert os.environ["WANDB_NAME"] == tmp_path.name
    assert os.environ["WANDB_TAGS"] == "a,b"
    assert os.environ["WANDB_MODE"] == "offline"
    assert "WANDB_ENTITY" not in os.environ


@pytest.mark.usefixtures("no_wandb")
def test_a_run_that_goes_on_is_the_same_one_of_wandb(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        prepare_wandb(LoggingSettings(wandb=True), tmp_path)
        ids.append(os.environ.pop("WANDB_RUN_ID"))
    assert ids[0] == ids[1] == (tmp_path / "wandb_id.txt").read_text().strip()
    assert os.environ["WANDB_RESUME"] == "allow"
    assert os.environ["WANDB_DIR"] == str(tmp_path)
    (tmp_path / "other").mkdir()
    prepare_wandb(LoggingSettings(wandb=True), tmp_path / "other")
    assert os.environ["WANDB_RUN_ID"] != ids[0]


@pytest.mark.usefixtures("no_wandb")
def test_offline_files_lie_in_the_run_folder(tmp_path: Path) -> None:
    """By W&B itself, without a network."""
    prepare_wandb(LoggingSettings(wandb=True, wandb_project="p"), tmp_path)
    import wandb

    with wandb.init() as run:
        assert run.id == (tmp_path / "wandb_id.txt").read_text().strip()
        run.log({"a": 1})
    assert list((tmp_path / "wandb").glob("offline-run-*"))
