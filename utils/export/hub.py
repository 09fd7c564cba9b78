"""A folder that `datasets.load_dataset` reads: parquet by split, and a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from utils.metrics.conversation import HEADLINE, summarise
from utils.records import ConversationRecord
from utils.runs.read import Run

_ABSENT = ("reasoning_content", "name")  # one table has one shape of message


def write_dataset(
    rows: Sequence[Mapping[str, Any]],
    chosen: Sequence[tuple[Run, ConversationRecord]],
    out: Path,
    licence: str,
) -> None:
    """`out`/data/SPLIT.parquet and `out`/README.md."""
    import datasets

    (out / "data").mkdir(parents=True)
    splits = list(dict.fromkeys(row["split"] for row in rows))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = {name: [_cell(row.get(name), name) for row in rows] for name in columns}
    features = datasets.Features({name: _feature(name, table[name]) for name in columns})
    for split in splits:
        at = [i for i, row in enumerate(rows) if row["split"] == split]
        part = {name: [values[i] for i in at] for name, values in table.items()}
        datasets.Dataset.from_dict(part, features=features).to_parquet(
            str(out / "data" / f"{split}.parquet")
        )
    (out / "README.md").write_text(card(chosen, splits, licence), encoding="utf-8")


def _cell(value: Any, name: str) -> Any:
    if name != "messages":
        return value
    return [{**dict.fromkeys(_ABSENT), **message} for message in value]


def _feature(name: str, values: Sequence[Any]) -> Any:
    """The type of a column, alike in all splits, also where one has no value."""
    from datasets import List, Value

    text, number = Value("string"), Value("float64")
    if name == "messages":
        return List(dict.fromkeys(("role", "content", *_ABSENT), text))
    if name.startswith("answers_"):
        return List(text)
    if name in ("step", "sample"):
        return Value("int64")
    return number if any(isinstance(v, float) for v in values) else text


def card(
    chosen: Sequence[tuple[Run, ConversationRecord]], splits: Sequence[str], licence: str
) -> str:
    """Markdown with the hub's front matter: licence, splits, metrics and settings by run."""
    files = [{"split": split, "path": f"data/{split}.parquet"} for split in splits]
    head = {
        "license": licence,
        "task_categories": ["text-generation"],
        "tags": ["tutoring", "education", "conversational"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    runs = list({id(run): run for run, _ in chosen}.values())
    sources = sorted({record.source for _, record in chosen if record.source})
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n",
        f"# {len(chosen)} conversations of a tutor and a student\n",
        "Each row is one conversation in a simulated classroom "
        "([paper](https://arxiv.org/abs/2505.15607)): `messages` has the tutor as `assistant`, the "
        "student as `user`, hidden planning as `reasoning_content`. The other columns are what was "
        "measured.\n",
        f"Licence: {licence}. The texts of problems have the licence of their source"
        + (f": {', '.join(map(_public, sources))}.\n" if sources else ".\n"),
    ]
    for run in runs:
        parts += _about(run, [record for other, record in chosen if other is run])
    return "\n".join(parts)


def _about(run: Run, records: Sequence[ConversationRecord]) -> list[str]:
    found = summarise(records)
    lines = [
        f"| {name} | {e.mean:.4g} | {'' if e.se is None else f'{e.se:.2g}'} | {e.n} |"
        for name in HEADLINE
        if (e := found[name]).mean is not None
    ]
    settings = yaml.safe_dump(_without_paths(run.config), sort_keys=False)
    return [
        f"## {run.name}\n",
        "\n".join(["| metric | mean | standard error | n |", "|---|---|---|---|", *lines]) + "\n",
        f"<details><summary>Settings</summary>\n\n```yaml\n{settings}```\n\n</details>\n",
    ]


def _without_paths(value: Any) -> Any:
    """Settings as they may be shown: of a folder of this machine only its last part."""
    if isinstance(value, Mapping):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    return _public(value) if isinstance(value, str) else value


def _public(text: str) -> str:
    return Path(text).name if text.startswith(("/", "~", "./", "../")) else text
