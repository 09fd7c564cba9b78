"""Which folder a run gets: its name, from what it was given or from its settings."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from config.notes import note
from utils.runs.logs import redact

ROOT = Path(__file__).resolve().parents[2]
FINISHED = "finished"
# what changes no result: a run that stopped at its cap goes on with a higher one, and one whose
# upload failed without it
FREE = frozenset(
    {
        "engines.max_requests",
        "engines.max_tokens",
        "engines.max_cost_usd",
        "engines.max_concurrent_requests",
        "engines.start_timeout_s",
        "engines.request_timeout_s",
        "engines.hang_timeout_s",
        "engines.on_engine_death",
        "huggingface.name",
        "huggingface.push_to_hub",
        "huggingface.private",
        "logging.wandb",
        "logging.trackers",
        "logging.wandb_offline",
    }
)


def run_path(settings: Any, config_name: str | None = None) -> Path:
    """The folder that a start with these settings uses, without touching anything."""
    folder = Path(settings.logging.save_dir).expanduser()
    folder = folder if folder.is_absolute() else ROOT / folder
    return unfinished(folder / base_name(settings, config_name))


def base_name(settings: Any, config_name: str | None = None) -> str:
    """`run_name` where given, else the config's name and a short hash of the settings."""
    if settings.run_name:
        return str(settings.run_name)
    state = saved_settings(settings)
    engines = state.get("engines", {})
    state["engines"] = {k: v for k, v in engines.items() if f"engines.{k}" not in FREE}
    if "huggingface" in state:
        state["huggingface"] = saved_settings(type(settings)())["huggingface"]
    for key in ("wandb_offline", "trackers"):  # newer than the names of runs
        state["logging"].pop(key)
    text = json.dumps(state, sort_keys=True, default=str)
    short = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{Path(config_name or _config_name()).stem}-{short}"


def say_if_another(settings: Any, path: Path, config_name: str | None = None) -> None:
    """A finished run is left as it is: say that this start is another one, and its name."""
    name = base_name(settings, config_name)
    if path.name == name:
        return
    model = path.with_name(name) / "model"
    hint = f"; to go on from its model, name {model}" if model.is_dir() else ""
    note(
        f"run_name: {name} is finished and takes no more steps, so this is another run, from the "
        f"start: {path.name}{hint}"
    )


def unfinished(path: Path) -> Path:
    """This folder, or the first of `-2`, `-3`, ... whose run is not finished."""
    number, candidate = 1, path
    while is_finished(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def is_finished(path: Path) -> bool:
    return (path / FINISHED).exists()


def saved_settings(settings: Any) -> dict[str, Any]:
    """Settings as plain data without the run's name, keys redacted: what config.yaml holds."""
    data = dataclasses.asdict(settings)
    data.pop("run_name", None)
    return dict(json.loads(redact(json.dumps(data))))


def _config_name() -> str:
    """What Hydra was asked for, else the script's own name."""
    try:
        from hydra.core.hydra_config import HydraConfig

        if HydraConfig.initialized():
            return str(HydraConfig.get().job.config_name)
    except ImportError:
        return Path(sys.argv[0]).stem
    return Path(sys.argv[0]).stem
