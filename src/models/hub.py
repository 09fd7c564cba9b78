"""Where a trained model goes beside its run folder: the model hub, and what W&B is told."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from config.errors import RunError
from config.schema import HuggingFaceSettings, LoggingSettings
from src.models.services import is_offline

WANDB_ID = "wandb_id.txt"


def push_model(folder: Path, settings: HuggingFaceSettings) -> str:
    """Upload a model's folder; the repository's name.  Private unless `huggingface.private=false`.

    A repository that exists keeps the visibility it has.  Raises RunError, one line, where the
    hub refuses: the model is in its folder all the same.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        repo = api.create_repo(str(settings.name), private=settings.private, exist_ok=True).repo_id
        api.upload_folder(repo_id=repo, folder_path=folder)
    except (HfHubHTTPError, LocalTokenNotFoundError, HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"huggingface.push_to_hub: {settings.name}: {reason}") from error
    return str(repo)


def prepare_wandb(settings: LoggingSettings, folder: Path) -> None:
    """Tell W&B, which the trainer starts, what the settings say; without a key it stays offline.

    Its files lie in the run's folder, and so does its id: a run that goes on is the same one.
    """
    if not settings.wandb:
        return
    path = folder / WANDB_ID
    if not path.exists():
        path.write_text(f"{secrets.token_hex(4)}\n")
    named = {
        "WANDB_PROJECT": settings.wandb_project,
        "WANDB_ENTITY": settings.wandb_entity,
        "WANDB_NAME": settings.wandb_run_name or folder.name,
        "WANDB_DIR": str(folder),
        "WANDB_RUN_ID": path.read_text().strip(),
        "WANDB_RESUME": "allow",
        "WANDB_RUN_GROUP": settings.run_group,
        "WANDB_TAGS": ",".join(settings.wandb_tags),
    }
    os.environ.update({key: value for key, value in named.items() if value})
    if is_offline(settings):
        os.environ.setdefault("WANDB_MODE", "offline")
