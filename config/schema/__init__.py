"""The one schema of all settings: dataclasses from the standard library, one per group.

Groups and keys are those of the paper's own code; what is new is marked so.  Defaults are the
paper's values; where that code has others, `docs/coming-from-the-original.md` says so and
`config/*/original.yaml` has them.  What a setting may be stands in its type (`config/limits.py`),
what it does in the comment beside it (`python -m config.reference` prints both); combinations are
checked in `config/validate.py`.
"""

from __future__ import annotations

from config.schema.classroom import (
    CONVERSATION_TYPES,
    KINDS,
    LEAK_RULE,
    GenerationSettings,
    RewardEntry,
    StudentEntry,
    paper_rewards,
)
from config.schema.data import DatasetEntry, DatasetSettings, EvalDatasetEntry
from config.schema.models import (
    LoraSettings,
    ModelSettings,
    RewardModelSettings,
    TutorSettings,
    VllmSettings,
)
from config.schema.running import EngineSettings, HuggingFaceSettings, LoggingSettings
from config.schema.scripts import (
    PED_RM_PROMPT,
    EvalConfig,
    EvalSettings,
    TrainRLConfig,
    TrainSFTConfig,
)
from config.schema.training import SftModelSettings, SftTrainSettings, TrainSettings

__all__ = [
    "CONVERSATION_TYPES",
    "KINDS",
    "LEAK_RULE",
    "PED_RM_PROMPT",
    "DatasetEntry",
    "DatasetSettings",
    "EngineSettings",
    "EvalConfig",
    "EvalDatasetEntry",
    "EvalSettings",
    "GenerationSettings",
    "HuggingFaceSettings",
    "LoggingSettings",
    "LoraSettings",
    "ModelSettings",
    "RewardEntry",
    "RewardModelSettings",
    "SftModelSettings",
    "SftTrainSettings",
    "StudentEntry",
    "TrainRLConfig",
    "TrainSFTConfig",
    "TrainSettings",
    "TutorSettings",
    "VllmSettings",
    "paper_rewards",
]
