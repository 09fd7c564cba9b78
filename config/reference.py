"""The reference of all settings, from the schema: names, types, limits, defaults and comments.

python -m config.reference [FILE]    writes it to docs/settings.md, or to FILE
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import io
import re
import sys
import textwrap
import tokenize
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any

import yaml

from config.limits import OneOf, limits_of
from config.schema import EvalConfig, TrainRLConfig, TrainSFTConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
SCRIPTS = {"train_rl.py": TrainRLConfig, "eval.py": EvalConfig, "train_sft.py": TrainSFTConfig}
HEAD = """# Settings

Every setting, as `config/schema` has it. `python -m config.reference` writes this page; a test says
that it is what the command writes. On a command line a setting is `group.name=value`; a new entry
of a mapping is `+group.name=value`. Combinations that exclude each other are refused at the start.
"""
# comments for tools, and the mark of what the paper's own code does not have
_NO_TEXT = re.compile(r"^(?:fmt: .*|new)$|^new; ")


def reference() -> str:
    """The page, one section for each group of settings."""
    found: dict[type[Any], list[tuple[str, str, Any]]] = {}
    for script, schema in SCRIPTS.items():
        for key, group in _groups("", schema()):
            for kind in _family(type(group)):
                found.setdefault(kind, []).append((script, key, group))
    return HEAD + "".join(_section(kind, places) for kind, places in found.items())


def comments(kind: type[Any]) -> dict[str, str]:
    """Field -> the comment beside it: after it on its line, and above it on lines of its own."""
    text = textwrap.dedent(inspect.getsource(kind))
    said = {
        token.start[0]: (token.string.lstrip("# "), not token.line[: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            first = node.lineno
            while said.get(first - 1, ("", False))[1] and said[first - 1][0] != "new":
                first -= 1
            lines = [said[n][0] for n in range(first, (node.end_lineno or 0) + 1) if n in said]
            own = [_NO_TEXT.sub("", line) for line in lines[: node.lineno - first]]
            beside = [_NO_TEXT.sub("", line) for line in lines[node.lineno - first :]]
            found[node.target.id] = "; ".join(filter(None, [" ".join(own), *beside]))
    return found


def _groups(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    """(key, group) of this group and of all inside it; entries of lists and mappings too."""
    yield prefix, group
    kinds = _kinds(type(group))
    for field in dataclasses.fields(group):
        key, value = f"{prefix}.{field.name}".lstrip("."), getattr(group, field.name)
        entry = _entry(kinds[field.name])
        if dataclasses.is_dataclass(value):
            yield from _groups(key, value)
        elif entry is not None:
            name = "[N]" if isinstance(value, list) else ".NAME"
            yield from _groups(key + name, entry())


def _family(kind: type[Any]) -> list[type[Any]]:
    """A group's class, and those whose settings it has too."""
    return [c for c in reversed(kind.__mro__) if dataclasses.is_dataclass(c)]


def _kinds(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _entry(kind: Any) -> type[Any] | None:
    """The dataclass that the entries of a list or mapping are."""
    for part in typing.get_args(kind)[-1:]:
        parts = part.__metadata__ if typing.get_origin(part) is Annotated else (part,)
        return next((p for p in parts if isinstance(p, type) and dataclasses.is_dataclass(p)), None)
    return None


def _section(kind: type[Any], places: list[tuple[str, str, Any]]) -> str:
    known = {name for base in kind.__mro__[1:] for name in getattr(base, "__annotations__", ())}
    text, rows, elsewhere = comments(kind), [], []
    for field in dataclasses.fields(kind):
        default = _default(field)
        if field.name in known or dataclasses.is_dataclass(default):
            continue
        shape, limits = _shape(_kinds(kind)[field.name])
        cells = (f"`{field.name}`", shape, limits, _shown(default), text[field.name])
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n")
        elsewhere += [
            f"`{key}.{field.name}` of {script}: {_shown(value)}"
            for script, key, group in places
            if (value := getattr(group, field.name)) != default
        ]
    if not rows:
        return ""
    title, _, _ = (inspect.getdoc(kind) or "").partition("\n")
    return (
        f"\n## {_heading(places)}\n\n{title}\n\n"
        "| setting | type | may be | default | what it says |\n|---|---|---|---|---|\n"
        + "".join(rows)
        + (f"\nOther defaults: {'; '.join(elsewhere)}.\n" if elsewhere else "")
    )


def _heading(places: list[tuple[str, str, Any]]) -> str:
    """The keys of a group, those of the same scripts together."""
    scripts: dict[str, list[str]] = {}
    for script, key, _ in places:
        scripts.setdefault(f"`{key}`" if key else "Top level", []).append(script)
    keys: dict[str, list[str]] = {}
    for key, found in scripts.items():
        keys.setdefault(", ".join(found), []).append(key)
    return "; ".join(f"{', '.join(names)} ({found})" for found, names in keys.items())


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _shape(kind: Any) -> tuple[str, str]:
    """(type, limits) of an annotation, in words."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    limits = ", ".join(
        limit.text if isinstance(limit, OneOf) else limit.text.partition(":")[0]
        for limit in limits_of(kind)
    )
    if origin is Annotated:
        return _shape(parts[0])[0], limits
    if origin in (typing.Union, UnionType):
        shapes = [_shape(part)[0] for part in parts if part is not type(None)]
        return f"{shapes[0]} or null", limits
    if origin is list:
        entry, limits = _shape(parts[0])
        return f"list of {entry}", limits
    if origin is dict:
        return "mapping", limits
    return "group" if dataclasses.is_dataclass(kind) else kind.__name__.lower(), limits


def _shown(value: Any) -> str:
    if value == "???":
        return "none: to be given"
    if value == "":
        return "empty"
    if isinstance(value, dict) and value:
        return "<br>".join(f"`{name}`: {_shown(_plain(entry))}" for name, entry in value.items())
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    text = text.strip().removesuffix("...").strip()
    return f"`{text}`"


def _plain(value: Any) -> Any:
    return ", ".join(map(str, vars(value).values())) if dataclasses.is_dataclass(value) else value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.reference", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=PAGE, metavar="FILE")
    parser.parse_args(arguments).file.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
