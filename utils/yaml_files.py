"""YAML files read whole, or refused in one line with file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError


def read_mapping(path: Path) -> dict[Any, Any]:
    """A file's mapping; an empty file is an empty one.  Raises ConfigError naming the place."""
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(where(path, text, error)) from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path}:1:1: not a mapping of keys to values")
    return content or {}


def read_text(path: Path) -> str:
    """Raises ConfigError where the file is no UTF-8 text."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise ConfigError(f"{path}:{line}:{column}: no UTF-8 text") from None


def where(path: Path, text: str, error: yaml.YAMLError) -> str:
    """`file:line:column: problem` of what a YAML parser refused."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        return f"{path}:{line}:{column}: a character that YAML does not allow"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"{path}: {' '.join(str(error).split())}"
    mark, problem = error.problem_mark, f"{error.problem}"
    if (quote := _open_quote(text, mark)) is not None:
        problem = f"a quote is opened here and closed only at {mark.line + 1}:{mark.column + 1}"
        mark = quote
    elif error.context == "while scanning a quoted scalar" and error.context_mark is not None:
        mark, problem = error.context_mark, "a quote is opened here and never closed"
    return f"{path}:{mark.line + 1}:{mark.column + 1}: {problem}"


def _open_quote(text: str, problem: Any) -> Any:
    """Where a quoted text begins that ran into the next lines and ended at the problem."""
    found = None
    try:
        for token in yaml.scan(text):
            if token.start_mark.index > problem.index:
                break
            if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
                over = token.start_mark.line < token.end_mark.line == problem.line
                found = token.start_mark if over else found
    except yaml.YAMLError:
        pass  # the problem itself
    return found
