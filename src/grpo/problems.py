"""The problems of a training run, and those held out; read before anything slow begins."""

from __future__ import annotations

from config.errors import ConfigError
from config.post_tests import wants_transfer
from config.schema import TrainRLConfig
from utils.data.problems import Problem
from utils.data.sessions import load_sessions


def training_problems(cfg: TrainRLConfig) -> list[Problem]:
    """The problems of a run.  Raises ConfigError where there are not enough for one batch."""
    if not cfg.dataset.train_datasets:
        raise ConfigError("dataset.train_datasets: no dataset is named")
    problems = load_sessions(
        cfg.dataset.train_datasets,
        length=cfg.generation.problems_per_session,
        seed=cfg.seed,
        limit=cfg.dataset.max_train_examples,
        bad_rows=cfg.dataset.bad_rows,
        transfer=wants_transfer(cfg.generation),
    )[cfg.skip_first_samples :]
    wanted = cfg.train.number_of_problems_per_batch
    if len(problems) < wanted:
        raise ConfigError(
            f"train.number_of_problems_per_batch: {wanted} problems make a batch, "
            f"but dataset.train_datasets has {len(problems)}"
        )
    return problems


def held_out_problems(cfg: TrainRLConfig) -> list[Problem]:
    """The problems to evaluate on; none where `train.eval_steps` is 0.  Raises ConfigError."""
    if not cfg.train.eval_steps:
        return []
    return load_sessions(
        cfg.dataset.eval_datasets,
        length=cfg.generation.problems_per_session,
        seed=cfg.seed,
        limit=cfg.dataset.max_val_examples,
        setting="dataset.eval_datasets",
        bad_rows=cfg.dataset.bad_rows,
        transfer=wants_transfer(cfg.generation),
    )
