"""The hub and W&B are asked, before anything heavy, whether they would take a run's results."""

from __future__ import annotations

import os
from typing import Any, Protocol

from config.errors import ConfigError
from config.schema import HuggingFaceSettings, LoggingSettings
from utils.runs.folder import is_lead

TIMEOUT_S = 10.0
WANDB_URL = "https://api.wandb.ai"


class _Services(Protocol):
    huggingface: HuggingFaceSettings
    logging: LoggingSettings


def check_start(settings: _Services) -> None:
    """Raises ConfigError where an upload or W&B is asked for and would fail.  Lead rank only."""
    if is_lead():
        check_upload(settings.huggingface)
        check_wandb(settings.logging)


def check_upload(settings: HuggingFaceSettings) -> None:
    """Raises ConfigError where the token would not let this model be uploaded."""
    from huggingface_hub import constants, get_token

    if not settings.push_to_hub:
        return
    key = "huggingface.push_to_hub"
    token = get_token()
    if not token:
        raise ConfigError(f"{key}: needs a token that may write: HF_TOKEN, or `hf auth login`")
    if constants.HF_HUB_OFFLINE:
        raise ConfigError(f"{key}: HF_HUB_OFFLINE is set")
    url = f"{constants.ENDPOINT}/api/whoami-v2"
    answer = _ask(key, "GET", url, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        raise ConfigError(
            f"{key}: {constants.ENDPOINT} answers {answer.status_code} to the token: "
            "set HF_TOKEN to one that may write"
        )
    try:
        who = answer.json()
    except ValueError:
        raise ConfigError(f"{key}: {constants.ENDPOINT} is no model hub") from None
    if ((who.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        raise ConfigError(f"{key}: the token of {who.get('name')} may only read")
    owner, slash, _ = str(settings.name).partition("/")
    mine = {who.get("name"), *(o.get("name") for o in who.get("orgs") or ())}
    if slash and owner not in mine:
        raise ConfigError(
            f"huggingface.name: {owner} is neither {who.get('name')} nor an organisation of theirs"
        )


def check_wandb(settings: LoggingSettings) -> None:
    """Raises ConfigError where W&B is asked for and cannot be reached, or refuses the key."""
    if not settings.wandb or is_offline(settings):
        return
    url = os.environ.get("WANDB_BASE_URL", WANDB_URL).rstrip("/")
    key = ("api", os.environ["WANDB_API_KEY"])
    hint = "logging.wandb_offline=true keeps its files in the run folder"
    query = {"query": "query { viewer { id } }"}
    answer = _ask("logging.wandb", "POST", f"{url}/graphql", hint, auth=key, json=query)
    if answer.status_code in (401, 403):
        raise ConfigError(f"logging.wandb: {url} refuses WANDB_API_KEY; {hint}")


def is_offline(settings: LoggingSettings) -> bool:
    """Whether W&B writes files only: told so, or without a key."""
    told = settings.wandb_offline or os.environ.get("WANDB_MODE", "online") != "online"
    return told or not os.environ.get("WANDB_API_KEY")


def _ask(setting: str, method: str, url: str, hint: str = "", **request: Any) -> Any:
    from httpx import HTTPError
    from httpx import request as send

    try:
        return send(method, url, timeout=TIMEOUT_S, follow_redirects=True, **request)
    except (HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        host = url.split("/", 3)[2]
        more = f"; {hint}" if hint else ""
        raise ConfigError(f"{setting}: {host} cannot be reached ({reason[0]}){more}") from None
