"""Prompt files: Jinja, sandboxed, strict about names that nobody defines."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
_JINJA = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)
TUTOR_VARIABLES = frozenset(
    {
        *("problem", "answer", "student_name", "student_persona"),
        *("use_thinking", "include_thinking", "force_thinking"),
    }
)
# what a template's own expressions can raise, `{{ 1 / 0 }}` or a file to include, say
_ERRORS = (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file, parsed; `setting` is who named it."""

    path: str
    source: str
    setting: str

    def render(self, **values: object) -> str:
        """The text that a model is told.  Raises ConfigError where these values do not fit."""
        try:
            return _compiled(self.source).render(**values).strip()
        except _ERRORS as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self.setting}: {self.path}: {reason}") from error


def thinking_values(*, use: bool, force: bool) -> dict[str, object]:
    """What a tutor's prompt is told of thinking; `include_thinking` is the paper's own name."""
    thinks = use or force
    return {"use_thinking": thinks, "include_thinking": thinks, "force_thinking": force}


@lru_cache
def _compiled(source: str) -> Template:
    """Compiling takes a thousand times as long as rendering."""
    return _JINJA.from_string(source)


def load_prompt(
    path: str,
    *,
    setting: str,
    variables: frozenset[str],
    needs: frozenset[str] = frozenset(),
    unless: str | None = None,
    optional: frozenset[str] = frozenset(),
    trial: bool = True,
    samples: Mapping[str, object] | None = None,
) -> Prompt:
    """Read a prompt file (relative paths: from the working folder, else from the project).

    Of its `variables` it must use those it `needs` (`unless` it uses this one); the `optional` ones
    may be None.  A `trial` rendering shows what else is wrong; `samples` are for variables that
    hold no plain text.  Raises ConfigError naming `setting` if the file is missing or empty, does
    not parse, uses a name that this prompt is not given or not one that it needs, or cannot be
    rendered.
    """
    source = read_text(path, setting)
    try:
        used = meta.find_undeclared_variables(_JINJA.parse(source))
    except TemplateSyntaxError as error:
        raise ConfigError(f"{setting}: {path}:{error.lineno}: {error.message}") from None
    if unknown := used - variables:
        raise ConfigError(
            f"{setting}: {path} uses {', '.join(sorted(unknown))}; "
            f"it may use {', '.join(sorted(variables))}"
        )
    if unless not in used and (missing := needs - used):
        raise ConfigError(f"{setting}: {path} must say {{{{ {min(missing)} }}}} somewhere")
    prompt = Prompt(path, source, setting)
    if trial:
        given: dict[str, object] = dict.fromkeys(variables, "1") | dict(samples or {})
        prompt.render(**given)
        prompt.render(**(given | dict.fromkeys(optional, None)))
    return prompt


def read_text(path: str, setting: str) -> str:
    """The text of a file, or of a constant in a Python program, as `FILE.py:NAME` (never run).

    Relative paths: from the working folder, else from the project.  Raises ConfigError.
    """
    program, _, name = path.rpartition(":")
    if program.endswith(".py"):
        return _constant(_read(program, setting), name, f"{setting}: {path}")
    return _read(path, setting)


def _constant(program: str, name: str, what: str) -> str:
    """The text that a program gives this name at its top level."""
    try:
        tree = ast.parse(program)
    except SyntaxError as error:
        raise ConfigError(f"{what}: line {error.lineno}: {error.msg}") from None
    for line in tree.body:
        if not isinstance(line, ast.Assign) or not isinstance(line.value, ast.Constant):
            continue
        names = [target.id for target in line.targets if isinstance(target, ast.Name)]
        if name in names and isinstance(line.value.value, str):
            return line.value.value
    raise ConfigError(f"{what}: it sets no text of that name")


def _read(path: str, setting: str) -> str:
    given = Path(path).expanduser()
    file = given if given.is_file() else ROOT / path
    if not file.is_file():
        raise ConfigError(f"{setting}: no such prompt file: {path}")
    try:
        source = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{setting}: {path} is no UTF-8 text: {error.reason}") from None
    if not source.strip():
        raise ConfigError(f"{setting}: {path} is empty")
    return source
