"""Prompt files: Jinja, sandboxed, strict about names that nobody defines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
_JINJA = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file, parsed."""

    path: str
    source: str

    def render(self, **values: object) -> str:
        """The text that a model is told."""
        return _compiled(self.source).render(**values).strip()


@lru_cache
def _compiled(source: str) -> Template:
    """Compiling takes a thousand times as long as rendering."""
    return _JINJA.from_string(source)


def load_prompt(path: str, *, setting: str, variables: frozenset[str]) -> Prompt:
    """Read a prompt file (relative paths: from the working folder, else from the project).

    Raises ConfigError naming `setting` if the file is missing, does not parse, or uses a name
    that this prompt is not given.
    """
    file = Path(path) if Path(path).is_file() else ROOT / path
    if not file.is_file():
        raise ConfigError(f"{setting}: no such prompt file: {path}")
    source = file.read_text(encoding="utf-8")
    try:
        unknown = meta.find_undeclared_variables(_JINJA.parse(source)) - variables
    except TemplateSyntaxError as error:
        raise ConfigError(f"{setting}: {path}:{error.lineno}: {error.message}") from None
    if unknown:
        raise ConfigError(
            f"{setting}: {path} uses {', '.join(sorted(unknown))}; "
            f"it may use {', '.join(sorted(variables))}"
        )
    return Prompt(path, source)
