"""Spellings of settings that mean the same, brought to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.notes import note
from config.original import PROMPTS
from config.rewards import reward_entries
from config.schema import GenerationSettings, TrainRLConfig, TrainSFTConfig
from config.students import student_entries

ROOT = Path(__file__).resolve().parents[1]
REWARDS_WITHOUT_MODEL = {"answer": "Answer", "none": "None"}


def normalise(settings: Any) -> None:
    """Bring spellings that mean the same to one, in place.

    `attempt` becomes `attempted`; a rule, persona, student or reward whose file or function is
    `none` is dropped (a config can override an entry that it inherits but not remove it); the
    in-process backend has one process; `train.bad_rows` is `dataset.bad_rows`;
    `logging.wandb` is one of `logging.trackers`.
    """
    reward_model = getattr(settings, "reward_model", None)
    if reward_model is not None:
        given = reward_model.model_name_or_path
        reward_model.model_name_or_path = REWARDS_WITHOUT_MODEL.get(given.lower(), given)
    generation: GenerationSettings | None = getattr(settings, "generation", None)
    if generation is not None:
        if generation.forced_conversation_type == "attempt":
            generation.forced_conversation_type = "attempted"
        _rename_prompts(generation)
        for paths in (
            generation.judges_rules_prompts_paths,
            generation.student_personas_prompts_paths,
            generation.turn_rules,
        ):
            for name in [n for n, path in paths.items() if path.lower() == "none"]:
                del paths[name]
        generation.rewards = reward_entries(generation.rewards)
        generation.students = student_entries(generation.students, settings.student_model)
    logging = getattr(settings, "logging", None)
    if logging is not None:
        logging.wandb = logging.wandb or "wandb" in logging.trackers
        logging.trackers = list(dict.fromkeys([*logging.trackers, *["wandb"] * logging.wandb]))
    if isinstance(settings, TrainRLConfig) and settings.engines.backend == "transformers":
        settings.train.use_deepspeed = False
    if isinstance(settings, TrainSFTConfig) and settings.train.bad_rows is not None:
        settings.dataset.bad_rows, settings.train.bad_rows = settings.train.bad_rows, None


def _rename_prompts(generation: GenerationSettings) -> None:
    """A prompt file of the paper's own code that is not here: ours takes its place."""
    for name, path in list(vars(generation).items()):
        ours = PROMPTS.get(path) if name.endswith("_path") else None
        if ours is not None and not is_file(path):
            note(f"generation.{name}: {path} is not here: {ours}, this project's own, is used")
            setattr(generation, name, ours)


def is_file(path: str) -> bool:
    """Whether there is such a file, from the working folder or else from the project."""
    return Path(path).is_file() or (ROOT / path).is_file()
