"""What a start reads, read before it: prompts, rules, rewards, problems.  Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from config.errors import ConfigError
from config.roles import roles_of
from config.schema import DatasetEntry, TrainRLConfig
from src.grpo.problems import held_out_problems, training_problems
from src.setup import check_models, check_texts
from utils.data.files import SUFFIXES


def read_inputs(cfg: TrainRLConfig) -> None:
    """Raises ConfigError for the first input at fault; nothing on the hub is fetched."""
    for _, error in input_faults(cfg):
        if error is not None:
            raise error


def input_faults(cfg: TrainRLConfig) -> Iterator[tuple[str, ConfigError | None]]:
    """What was read, and what is wrong with it."""
    yield "prompts, rules", _tried(lambda: check_texts(cfg))
    here = [r for r in roles_of(cfg).values() if Path(r.model.model_name_or_path).is_dir()]
    yield "chat templates", _tried(lambda: check_models(cfg, here))
    if not any(map(is_hub_id, cfg.dataset.train_datasets)):
        yield "problems", _tried(lambda: training_problems(cfg))
    if cfg.train.eval_steps and not any(map(is_hub_id, cfg.dataset.eval_datasets)):
        yield "held-out problems", _tried(lambda: held_out_problems(cfg))


def is_hub_id(entry: DatasetEntry) -> bool:
    """Whether a dataset is one of the hub's, not a file, a folder, a task or a function."""
    name = entry.name_or_path
    if ":" in name or name.count("/") != 1 or name.startswith((".", "/", "~")):
        return False
    return not name.endswith(SUFFIXES) and not Path(name).exists()


def _tried(read: Callable[[], object]) -> ConfigError | None:
    try:
        read()
    except ConfigError as error:
        return error
    return None
