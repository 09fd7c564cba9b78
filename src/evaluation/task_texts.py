"""The text of a MathTutorBench task: our own, or the benchmark's, from the user's checkout of it.

A task is one text that the model continues: a prompt with the row's fields in it, worked examples
(`shots`) where the task has some, and texts that end the answer.  Our own files are in
prompt_templates/benchmarks; the benchmark's are read from `eval.mathtutorbench_path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.errors import ConfigError
from utils.prompts import ROOT, read_text

SETTING = "eval.mathtutorbench_path"
FOLDER = "prompt_templates/benchmarks"
_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)

_TURN = ("Student:", "\n\n", "Teacher:")
#: what ends an answer under our own texts: the words that begin their next part
OWN_STOPS = {
    "problem_solving": ("Question:",),
    "socratic_questioning": ("Problem:", "\n"),
    "solution_correctness": ("Problem:", "Q:"),
    "mistake_location": ("Problem:", "Q:"),
    "mistake_correction": ("Problem:", "Student:"),
    "scaffolding_generation": _TURN,
    "pedagogy_following": _TURN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskText:
    """One task's prompt; `where` names it in errors."""

    prompt: str
    stops: tuple[str, ...]
    shots: str = ""
    where: str
    is_own: bool

    def render(self, row: Mapping[str, Any]) -> str:
        """The text to continue, to the last space.  Raises ConfigError for an unknown name."""
        try:
            return _JINJA.from_string(self.prompt).render(**row, shots=self.shots)
        except TemplateError as error:
            raise ConfigError(f"{self.where}: {' '.join(str(error).split())}") from None


def task_text(task: str, checkout: str | None) -> TaskText:
    """The text of a task, by its name in the benchmark.  Raises ConfigError."""
    if checkout:
        return _from_checkout(task, checkout_folder(checkout))
    plain = task.removesuffix("_hard")
    path = f"{FOLDER}/{plain}.txt"
    return TaskText(
        prompt=read_text(path, "eval.tasks"), stops=OWN_STOPS[plain], where=path, is_own=True
    )


def checkout_folder(path: str) -> Path:
    """The checkout, from the working folder or else from the project.  Raises ConfigError."""
    for base in (Path.cwd(), ROOT):
        folder = base / Path(path).expanduser()
        if (folder / "configs").is_dir():
            return folder
    raise ConfigError(
        f"{SETTING}: {path} has no folder configs; it is to be a checkout of "
        "https://github.com/eth-lre/mathtutorbench"
    )


def _from_checkout(task: str, folder: Path) -> TaskText:
    for path in sorted((folder / "configs").glob("*.y*ml")):
        content = _read_yaml(path)
        if content.get("name") == task:
            prompt, stops = content.get("system_prompt"), content.get("stop")
            if not isinstance(prompt, str) or not prompt.strip():
                raise ConfigError(f"{SETTING}: {path}: system_prompt is no text")
            stops = [stops] if isinstance(stops, str) else stops or []
            return TaskText(
                prompt=prompt,
                stops=tuple(map(str, stops)),
                shots=str(content.get("few_shot_samples") or ""),
                where=f"{SETTING}: {path}",
                is_own=False,
            )
    raise ConfigError(f"{SETTING}: no file in {folder / 'configs'} has the name {task}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{SETTING}: {path}: {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}
