"""A finished or unfinished run folder, read for metrics, comparison and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from utils.records import ConversationRecord, load_run
from utils.runs.folder import CONFIG, METRICS, read_metrics
from utils.runs.record_writer import CONTROL_FOLDER
from utils.yaml_files import read_mapping


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything a run wrote.  `curve`: rows of metrics.jsonl, each with a `step`."""

    folder: Path
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    records: list[ConversationRecord] = field(default_factory=list)
    control: list[ConversationRecord] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def final(self) -> list[ConversationRecord]:
        """The conversations that a run is judged by.

        The last evaluated step where there is an evaluation; else the last tenth of the training
        steps (at least one), since a step holds few problems.
        """
        evaluated = [r for r in self.records if r.split == "eval"]
        if evaluated:
            last = max(r.step for r in evaluated)
            return [r for r in evaluated if r.step == last]
        steps = sorted({r.step for r in self.records})
        chosen = set(steps[-max(1, len(steps) // 10) :])
        return [r for r in self.records if r.step in chosen]


def open_run(path: str | Path) -> Run:
    """Read a run folder (or a conversations file); ConfigError where there is nothing to read."""
    folder = Path(path)
    if folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(f"{path}: no such run folder")
    records = load_run(folder)
    try:
        curve = read_metrics(folder)
    except ValueError as error:
        raise ConfigError(f"{folder / METRICS}: {error}") from None
    if not records and not curve:
        raise ConfigError(f"{path}: neither conversations.jsonl nor {METRICS} is in this folder")
    control = folder / CONTROL_FOLDER
    config = _read_config(folder / CONFIG)
    for record in records:
        _complete(record, config.get("generation") or {})
    return Run(
        folder=folder,
        name=folder.resolve().name,
        config=config,
        records=sorted(records, key=lambda r: r.key),
        control=load_run(control) if control.is_dir() else [],
        curve=curve,
    )


def _complete(record: ConversationRecord, generation: Mapping[str, Any]) -> None:
    """Say in an older record what only its run's settings said then, in place."""
    for rule in generation.get("rules_only_reported") or ():
        for verdict in record.verdicts.get(rule, []):
            verdict.counts = False
    hard = generation.get("ignore_rejected_judge") is False
    if hard and record.split == "train" and "solve_rejected_share" not in generation:
        record.accepted_only = True


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_mapping(path)
