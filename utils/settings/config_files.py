"""Config files and overrides as Hydra gets them: today's, and those of the paper's own code.

Hydra reads `file://` folders through `ConfigFiles`.  The file that a run is started with may leave
out its `defaults:` list: then it is one of the paper's own code, and what it leaves out has that
code's values (`config/*/original.yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from config.errors import ConfigError
from config.notes import note
from config.original import RENAMED, VALUES, gone
from config.schema import EvalConfig, TrainRLConfig, TrainSFTConfig
from utils.yaml_files import read_text, where

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = "original"
STORED = "_original"  # the same, found from any folder
FOLDERS: dict[type[Any], str] = {
    TrainRLConfig: "train_rl",
    EvalConfig: "eval",
    TrainSFTConfig: "train_sft",
}
DATASETS: dict[type[Any], str] = {
    TrainRLConfig: "rd211/Big-Math-RL-Verified-Filtered (split train)",
    EvalConfig: "rd211/Big-Math-RL-Verified-Filtered (split test)",
    TrainSFTConfig: "rd211/Pedagogical-SFT (split train)",
}
SFT_EVAL_STEPS = 50  # fixed in the paper's code
_OVERRIDE = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<key>[A-Za-z_][\w.]*)(?:=(?P<value>.*))?", re.S)


class ConfigFiles(FileConfigSource):
    """Folders of YAML files.  `schema` and `primary` are those of the run that is composed."""

    schema: type[Any] = TrainRLConfig
    primary: str = ""

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises ConfigError naming file, line and column of what is no YAML."""
        path = Path(self.path) / self._normalize_file_name(config_path)
        if path.is_file():
            text = read_text(path)
            try:
                content = OmegaConf.create(text)
            except yaml.YAMLError as error:
                raise ConfigError(where(path, text, error)) from None
            if not OmegaConf.is_dict(content):
                raise ConfigError(f"{path}:1:1: not a mapping of settings")
        found = super().load_config(config_path)
        modernise(found.config, path.name)
        is_primary = path.name == self._normalize_file_name(Path(self.primary).name)
        if is_primary and "defaults" not in found.config:
            note(
                f"{path.name}: has no defaults list, so it is read as a file of the paper's own "
                f"code: what it leaves out is in {ORIGINAL}.yaml (`defaults: [schema, _self_]` "
                "takes this project's defaults)"
            )
            read_as_original(found.config, self.schema, path.name)
            OmegaConf.update(found.config, "defaults", [STORED, "_self_"])
        return found


def use_config_files(schema: type[Any], primary: str) -> None:
    """Let Hydra read its folders through `ConfigFiles`, for a run of this config and schema.

    `defaults: [schema, _self_]` in a YAML file then means this dataclass.
    """
    ConfigFiles.schema, ConfigFiles.primary = schema, primary
    Plugins.instance()  # brings in Hydra's own reader of files, which ours replaces
    SourcesRegistry.instance().types["file"] = ConfigFiles
    ConfigStore.instance().store(name="schema", node=schema)
    original = OmegaConf.load(ROOT / "config" / FOLDERS[schema] / f"{ORIGINAL}.yaml")
    ConfigStore.instance().store(name=STORED, node=original)


def modernise(config: Any, file: str) -> None:
    """Leave out and rename, in place, what has changed since the paper's code; say each."""
    for key in list(_keys(config)):
        instead = gone(key)
        if instead is not None:
            note(f"{file}: {key}: no longer a setting, and left out: {instead}")
            _pop(config, key)
        elif key in RENAMED:
            note(f"{file}: {key}: is called {RENAMED[key]} now")
            OmegaConf.update(config, RENAMED[key], _pop(config, key))
        elif key in VALUES and OmegaConf.select(config, key) == VALUES[key][0]:
            old, new, why = VALUES[key]
            if why:
                note(f"{file}: {key}: {new} instead of {old}: {why}")
            OmegaConf.update(config, key, new)
        elif key.endswith("lora.target_modules") and OmegaConf.is_list(
            OmegaConf.select(config, key)
        ):
            names = "|".join(map(re.escape, OmegaConf.select(config, key)))
            OmegaConf.update(config, key, rf"(?:.*\.)?(?:{names})")  # as peft reads a list


def read_as_original(config: Any, schema: type[Any], file: str) -> None:
    """What a key of a file of the paper's own code meant, in today's terms, in place."""
    if "dataset" not in config:
        wanted = DATASETS[schema]
        note(f"{file}: dataset: none is given, so it is {wanted}, as in that code")
    turns = OmegaConf.select(config, "generation.max_turns")
    if isinstance(turns, int) and turns % 2:
        config.generation.max_turns = turns + 1
        note(
            f"{file}: generation.max_turns: {turns} is read as {turns + 1} messages: there a "
            f"conversation went on to the tutor's next word, so the tutor keeps its "
            f"{(turns + 1) // 2} turns"
        )
    elif isinstance(turns, int):
        note(
            f"{file}: generation.max_turns: {turns} messages, at which a guided conversation ends; "
            f"there it went on to the tutor's next word (turn {turns // 2 + 1})"
        )
    if schema is TrainRLConfig:
        for name, off in (("top_k", 0), ("top_p", 1.0)):
            value = OmegaConf.select(config, f"teacher_model.vllm.{name}")
            if value is not None and (value > 0 if name == "top_k" else value < 1):
                config.teacher_model.vllm[name] = off
                note(
                    f"{file}: teacher_model.vllm.{name}: off in training ({off}, not {value}): the "
                    "trainer's distribution must be the sampler's"
                )
        dropout = OmegaConf.select(config, "teacher_model.lora.dropout")
        if dropout:
            config.teacher_model.lora.dropout = 0.0
            note(
                f"{file}: teacher_model.lora.dropout: 0 in training, not {dropout}: two passes "
                "over the same tokens must differ by the weights alone (that code never read it)"
            )
    if schema is TrainSFTConfig:
        for name in ("train_datasets", "eval_datasets"):
            for entry in OmegaConf.select(config, f"dataset.{name}") or ():
                entry.setdefault("columns", {"messages": "conversation"})
        if OmegaConf.select(config, "dataset.eval_datasets"):
            OmegaConf.update(config, "train.eval_steps", SFT_EVAL_STEPS)


def modern_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides of the command line, changed as `modernise` changes files."""
    kept = []
    for override in overrides:
        found = _OVERRIDE.fullmatch(override)
        key = found["key"] if found is not None else ""
        instead = gone(key)
        if found is None:
            kept.append(override)
        elif instead is not None:
            note(f"{key}: no longer a setting, and left out: {instead}")
        elif key in RENAMED:
            note(f"{key}: is called {RENAMED[key]} now")
            kept.append(override.replace(key, RENAMED[key], 1))
        elif key in VALUES and found["value"] == _typed(VALUES[key][0]):
            kept.append(f"{found['sign'] or ''}{key}={VALUES[key][1]}")
        else:
            kept.append(override)
    return kept


def _typed(value: object) -> str:
    return "null" if value is None else str(value)


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Every key at any depth, dotted; lists are not entered."""
    for key in config:
        full = f"{prefix}{key}"
        yield full
        if not OmegaConf.is_missing(config, key) and OmegaConf.is_dict(config[key]):
            yield from _keys(config[key], f"{full}.")


def _pop(config: Any, key: str) -> Any:
    """Take a dotted key out."""
    group, _, leaf = key.rpartition(".")
    return (OmegaConf.select(config, group) if group else config).pop(leaf)
