"""Functions that a setting names: `module:function`, or `path/to/file.py:function`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from config.errors import ConfigError, RunError


def is_function(source: str) -> bool:
    """Whether a source is a function's name; prompt files have no colon in theirs."""
    return ":" in source


def load_function(source: str, setting: str) -> Callable[..., Any]:
    """The function of that name.  Raises ConfigError where there is none, naming `setting`."""
    module, _, name = source.rpartition(":")
    if not module or not name:
        raise ConfigError(f"{setting}: {source!r} is not of the form module:function")
    try:
        function: Any = getattr(_module(module), name)
    except Exception as error:  # importing runs a user's own code, which may raise anything
        raise ConfigError(f"{setting}: {source}: {_said(error)}") from error
    if not callable(function):
        raise ConfigError(f"{setting}: {source} is no function")
    return function  # type: ignore[no-any-return]


def call_function(function: Callable[..., Any], setting: str, *arguments: object) -> Any:
    """What a user's function gives.  Whatever it raises is a RunError that names `setting`."""
    try:
        return function(*arguments)
    except Exception as error:  # a user's own code: whatever it is, it is said where it stands
        raise RunError(f"{setting}: its function raised {_said(error)}") from error


@cache
def _module(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).expanduser().resolve()
    spec = importlib.util.spec_from_file_location(f"user_code.{path.stem}", path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
