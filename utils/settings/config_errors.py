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

from config.original import RENAMED, earlier, gone

# What a setting is called elsewhere -> what it may be called here; the first that is there counts.
ALIASES = {
    "lr": ("learning_rate",),
    "lambda": ("extra_penalty_for_rejected_judges",),
    "batch_size": ("number_of_problems_per_batch", "per_device_train_batch_size"),
    "train_batch_size": ("number_of_problems_per_batch", "per_device_train_batch_size"),
    "num_generations": ("num_samples_per_problem",),
    "group_size": ("num_samples_per_problem",),
    "num_iterations": ("mu",),
    "kl": ("beta",),
    "kl_coef": ("beta",),
    "clip": ("epsilon",),
    "clip_range": ("epsilon",),
    "num_epochs": ("epochs",),
    "num_train_epochs": ("epochs",),
    "num_steps": ("max_steps",),
    "steps": ("max_steps",),
    "scheduler": ("lr_scheduler_type",),
    "optim": ("optimizer",),
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
    for alias in ALIASES.get(wrong.rsplit(".", 1)[-1].lower(), ()):
        if named := [k for k in options if k.rsplit(".", 1)[-1] == alias]:
            return named[0]
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
    if (instead := gone(key) or earlier(key)) is not None:
        return f"{key}: no longer a setting: {instead}"
    if key in RENAMED:
        return f"{key}: is called {RENAMED[key]} now"
    keys = schema_keys(schema)
    for group in _groups(key):
        if _is_dict(group, schema):
            return f"{key}: a new entry of {group} is added with a plus sign: +{key}=..."
    deep = "." in key or key.lower() in ALIASES
    near = nearest(key, [k for k in keys if "." in k] if deep else keys)
    return f"{key}: no such setting" + (f"; did you mean {near}?" if near else "")


def _groups(key: str) -> list[str]:
    """`a.b` and `a` of the key a.b.c."""
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def _is_dict(key: str, schema: type[Any]) -> bool:
    return typing.get_origin(_kind(key, schema)) is dict


def _kind(key: str, schema: type[Any]) -> Any:
    """The type of a key, or None where there is no such key."""
    kind: Any = schema
    for part in key.split("."):
        if not dataclasses.is_dataclass(kind):
            return None
        kind = typing.get_type_hints(kind).get(part)
    return kind


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
            if (wrong := wrong_kind(_full_key(cause), schema, _first_line(cause))) is not None:
                return wrong
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


def wrong_kind(key: str, schema: type[Any], reason: str) -> str | None:
    """One line for a value given to what is no single value; None for a setting that is one."""
    key = key.partition("[")[0]
    kind = _kind(key, schema)
    given = re.search(r"value: (.*)", reason)
    value = given[1] if given else "..."
    if dataclasses.is_dataclass(kind):
        inside = [field.name for field in dataclasses.fields(kind)]
        shown = value.lower() if value in ("True", "False") else value
        likely = [n for n in ("model_name_or_path", "enable") if n in inside]
        guess = f"; did you mean {key}.{likely[0]}={shown}?" if likely else f": {', '.join(inside)}"
        return f"{key}: a group of settings, not one value{guess}"
    if typing.get_origin(kind) is dict and "not Optional" not in reason:
        return f"{key}: a group of names and values; an entry is added by +{key}.NAME=VALUE"
    if typing.get_origin(kind) is not list or "not Optional" in reason:
        return None
    [item] = typing.get_args(kind)
    if dataclasses.is_dataclass(item):
        names = ", ".join(field.name for field in dataclasses.fields(item))
        name = value if given else "NAME"
        return f"{key}: a list of groups ({names}), as in '{key}=[{{name_or_path: \"{name}\"}}]'"
    return f"{key}: a list, as in '{key}=[{value}]'"


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
