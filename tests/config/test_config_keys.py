"""Every key of the paper's own code: taken with its meaning, or with a line that says what now is.

The keys, their defaults and the values of the files that it ships come from the folder beside
this one (tests/oracle.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config import notes
from config.original import GONE, PROMPTS, gone
from tests import oracle
from tests.config.scripts import SCHEMAS, nothing_said
from utils.settings.hydra_entry import load_config

__all__ = ["nothing_said"]  # the fixture

SAME = {"dataset.max_train_examples": -1, "dataset.max_val_examples": -1}  # null there
# What a key cannot be without, there and here.
BESIDE = {"generation.force_thinking": {"use_thinking": True}}
# What has another value here where a file leaves it out: rows of the table in
# docs/coming-from-the-original.md.
_BOTH = {
    "generation.max_turns": "15 is 16 here: the same eight turns of the tutor",
    "huggingface.name": "no made-up name",
    "teacher_model.lora.dropout": "0 in training; never read there",
}
OTHER_DEFAULTS = {
    "train_rl": _BOTH | {"teacher_model.vllm.top_k": "off in training"},
    "eval": _BOTH,
}


def nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b[].c` and a value as the mapping that a file would hold."""
    first, _, rest = key.partition(".")
    inner = nested(rest, value) if rest else value
    if first.endswith("[]"):
        return {first[:-2]: [{"name_or_path": "some/data"} | inner]}
    return {first: inner}


def found(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = getattr(settings, part.removesuffix("[]"))
        settings = settings[0] if part.endswith("[]") else settings
    return settings


def load(folder: Path, group: str, content: dict[str, Any]) -> Any:
    (folder / "old.yaml").write_text(yaml.safe_dump(content))
    return load_config(str(folder), SCHEMAS[group], "old")


@pytest.mark.parametrize("case", oracle.cases("config_keys"))
def test_a_key_is_taken(
    case: oracle.Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group, key, expected = case["inputs"]["group"], case["inputs"]["key"], case["expected"]
    values = list(expected["yaml"].values())
    if expected["in_dataclass"]:
        values.append(expected["default"])
    for value in values:
        notes._said.clear()
        if value == [] and key.endswith("train_datasets"):
            continue  # nothing to train on
        content = nested(key, value)
        if key in BESIDE:
            content["generation"] |= BESIDE[key]
        settings = load(tmp_path, group, content)
        lines = [line for line in capsys.readouterr().err.splitlines() if f" {key}: " in line]
        if gone(key) is not None:
            assert len(lines) == 1 and gone(key) in lines[0]
        elif not lines:
            assert found(settings, key) == (SAME[key] if value is None and key in SAME else value)


@pytest.mark.parametrize(
    "case",
    oracle.cases("config_keys", lambda case: case["inputs"]["group"] != "train_sft"),
)
def test_what_a_file_leaves_out_has_the_papers_default(case: oracle.Case, tmp_path: Path) -> None:
    """Not for fine-tuning: there the paper's code takes a missing key for an error."""
    group, key = case["inputs"]["group"], case["inputs"]["key"]
    if gone(key) is None and key not in OTHER_DEFAULTS[group]:
        default = case["expected"]["default"]
        value = found(load(tmp_path, group, {}), key)
        assert value == PROMPTS.get(str(default), default)


def test_every_key_without_a_meaning_was_one() -> None:
    keys = [case["inputs"]["key"] for case in oracle.load("config_keys")["cases"]]
    for end in GONE:
        assert any(f".{key}".endswith(f".{end}") for key in keys), end
