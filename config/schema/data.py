"""Settings of the data: where problems and conversations come from, and how many are used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from config.limits import CountOrAll, OneOf, Positive, Share


@dataclass
class DatasetEntry:
    """One source of problems: a hub id, a local file, `reasoning_gym:<task>`, `module:function`."""

    name_or_path: str = "???"  # a hub id, a local file or folder, a task, or a function
    split: str = "train"  # which of the source's splits
    ratio: Positive = 1.0  # weight of this source in max_train_examples or max_val_examples
    # new
    columns: dict[str, str] = field(default_factory=dict)  # our name -> the column's name
    parameters: dict[str, Any] = field(default_factory=dict)  # for generated problems
    min_solve_rate: Share | None = None  # difficulty band on the column `solve_rate`
    max_solve_rate: Share | None = None  # the band's upper end


@dataclass
class EvalDatasetEntry(DatasetEntry):
    """A source of held-out problems."""

    split: str = "test"


@dataclass
class DatasetSettings:
    """Sources of a run's data, and how much of it is used."""

    train_datasets: list[DatasetEntry] = field(default_factory=list)  # what is trained on
    eval_datasets: list[EvalDatasetEntry] = field(default_factory=list)  # held out
    max_train_examples: CountOrAll = -1  # of all sources together; -1: all
    max_val_examples: CountOrAll = 500  # held-out examples of all sources together
    # new; a row that cannot be used: stop, or drop (counted by reason)
    bad_rows: Annotated[str, OneOf(("stop", "drop"))] = "stop"
