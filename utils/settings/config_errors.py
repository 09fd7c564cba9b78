"""Says in one line what is wrong with a setting, and which right one is nearest."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import re
import shlex
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

# Settings of the paper's own code that make no sense any more -> what replaces them.  Keys are
# matched from their end: `vllm.use_v0` is refused in every group.
GONE = {
    "train.save_policy_to_disk_every_n": (
        "new weights go to the engines in place after every update; "
        "logging.save_steps says how often a checkpoint is kept"
    ),
    "vllm.use_v0": "vLLM has one engine now; leave it out",
    "vllm.bits_and_bytes": (
        "vLLM 0.31 no longer has it; name an AWQ or FP8 checkpoint, "
        "or set quantization beside model_name_or_path"
    ),
    "generation.tokenizer_to_use": "the tutor's own tokenizer is used; leave it out",
    "generation.server_port": "engines listen on Unix sockets; leave it out",
    "generation.reward_weights": "generation.rewards.<name>.weight says it for each reward",
    "generation.use_experimental_shared_memory": (
        "engines.weights_dir: /dev/shm is shared memory, another folder is on disk"
    ),
}
# a value in a mapping, in which not all is ordinary
_UNQUOTED = re.compile(r"(?<=: )(?=[^,}]*[^\w./~+\s,}-])[^\s\[\]{},\"'][^\[\]{},\"']*")
FLAGS = {  # launcher's own, for suggestions
    "--dry-run", "--check", "--plan",
}  # fmt: skip


def schema_keys(schema: type[Any], prefix: str = "") -> list[str]:
    """Every full key of a dataclass schema, groups too: `train`, `train.mu`, ..."""
    keys = []
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key = prefix + field.name
        keys.append(key)
        if dataclasses.is_dataclass(kind := hints[field.name]):
            keys += schema_keys(typing.cast(type[Any], kind), key + ".")
    return keys


def nearest(wrong: str, right: Iterable[str]) -> str | None:
    """The most similar name.  The same last part in another group beats a similar spelling."""
    options = list(right)
    same_leaf = [k for k in options if k.split(".")[-1] == wrong.split(".")[-1]]
    if same_leaf:
        return max(same_leaf, key=lambda k: _similarity(k, wrong))
    best = max(options, key=lambda k: _similarity(k, wrong), default=None)
    return best if best is not None and _similarity(best, wrong) >= 0.6 else None


def _similarity(one: str, other: str) -> float:
    """Of whole names or of their last parts alone, whichever is greater."""
    whole = difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()
    leaves = one.rsplit(".", 1)[-1].lower(), other.rsplit(".", 1)[-1].lower()
    return max(whole, difflib.SequenceMatcher(None, *leaves).ratio() - 0.05)


def unknown_key(key: str, schema: type[Any]) -> str:
    """One line for a key that the schema does not have."""
    for gone, instead in GONE.items():
        if key == gone or key.endswith("." + gone) or key.startswith(gone + "."):
            return f"{key}: no longer a setting: {instead}"
    keys = schema_keys(schema)
    for group in _groups(key):
        if _is_dict(group, schema):
            return f"{key}: a new entry of {group} is added with a plus sign: +{key}=..."
    near = nearest(key, [k for k in keys if "." in k] if "." in key else keys)
    return f"{key}: no such setting" + (f"; did you mean {near}?" if near else "")


def _groups(key: str) -> list[str]:
    """`a.b` and `a` of the key a.b.c."""
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def _is_dict(key: str, schema: type[Any]) -> bool:
    kind: Any = schema
    for part in key.split("."):
        if not dataclasses.is_dataclass(kind):
            return False
        kind = typing.get_type_hints(kind).get(part)
    return typing.get_origin(kind) is dict


def unknown_flag(flag: str, schema: type[Any], *parsers: argparse.ArgumentParser) -> str:
    """One line for a flag that nobody knows; settings typed as flags are recognised."""
    name, _, value = flag.partition("=")
    plain = name.lstrip("-")
    keys = schema_keys(schema)
    if plain in keys or ("." in plain and nearest(plain, keys)):
        return f"{name}: settings are given without dashes: {nearest(plain, keys)}={value or '...'}"
    flags = {o for parser in parsers for a in parser._actions for o in a.option_strings}
    flags = {f for f in flags | FLAGS if f.startswith("--")}
    near = nearest(name, flags)
    if near is None or _similarity(near, name) < 0.75:
        leaf = plain.replace("-", "_")
        same = [k for k in keys if k.rsplit(".", 1)[-1] == leaf]
        near = f"{same[0]}={value or '...'}" if same else near
    return f"{name}: no such flag" + (f"; did you mean {near}?" if near else "")


def explain(
    error: BaseException, schema: type[Any], config_name: str, folders: Sequence[Path]
) -> str:
    """One line for what Hydra or OmegaConf refused."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

    for cause in _chain(error):
        if isinstance(cause, OverrideParseException):
            return f"{cause.override}: not of the form key=value; {_quoted(str(cause.override))}"
        if isinstance(cause, MissingConfigException):
            return _missing_config(cause, config_name, folders)
        if isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
            key, entry = _full_key(cause), cause.object_type
            if "." not in key and dataclasses.is_dataclass(entry) and entry is not schema:
                names = ", ".join(f.name for f in dataclasses.fields(entry))
                return f"{key}: no such key of a {entry.__name__}, which has {names}"
            return unknown_key(key, schema)
        if isinstance(cause, OmegaConfBaseException):
            return f"{_full_key(cause)}: {_first_line(cause)}"
    return _first_line(error)


def _quoted(override: str) -> str:
    """The working form of an override whose value has special characters, as a path with `=`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    key, given, value = override.partition("=")
    if value.startswith(("[", "{")):
        value = _UNQUOTED.sub(lambda word: json.dumps(word[0]), value)
    working = f"{key}={value if value.startswith(('[', '{')) else json.dumps(value)}"
    try:
        OverridesParser.create().parse_overrides([working])
    except OverrideParseException:
        given = ""
    shown = f": {shlex.quote(working)}" if given else ""
    return f"quote what has special characters{shown}"


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _full_key(error: Any) -> str:
    return str(error.full_key or error.key or "config")


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "msg", None) or error).strip()
    return re.sub(r"\$FULL_KEY|\$OBJECT_TYPE", "", text.splitlines()[0] if text else repr(error))


def _missing_config(error: Any, config_name: str, folders: Sequence[Path]) -> str:
    named = str(getattr(error, "missing_cfg_file", None) or config_name)
    there = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    if Path(named).stem != Path(config_name).stem:
        return f"--config-name {config_name}: its defaults name {named}, which is not there"
    near = nearest(Path(named).stem, there)
    guess = f"; did you mean {near}?" if near else "."
    return (
        f"--config-name {config_name}: no such config in {', '.join(map(str, folders))}{guess} "
        f"There are: {', '.join(there)}"
    )
