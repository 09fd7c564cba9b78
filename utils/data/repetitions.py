"""One problem once: the first of those that are the same, unless their answers contradict."""

from __future__ import annotations

from config.errors import ConfigError
from utils.answers.equality import is_correct
from utils.data.problems import Problem
from utils.data.rows.bad_rows import BadRow, Sieve

_CONTRADICTION = "with contradicting answers"
Key = tuple[str, str]


class Kept:
    """The problems of one source, each with where it stands."""

    def __init__(self, setting: str) -> None:
        self.repetitions = 0
        self._setting = setting
        self._found: dict[Key, tuple[Problem, str]] = {}
        self._ids: dict[str, Key] = {}
        self._contradicted: dict[Key, BadRow] = {}

    def add(self, problem: Problem, where: str) -> None:
        """Keep it, or count it as a repetition, whatever its id and other columns.

        Raises BadRow where the same problem has another answer, and ConfigError where another
        problem has the same id.
        """
        # the options of a multiple-choice problem belong to it
        key = (problem.text, str(problem.extra.get("choices", "")))
        if key in self._found:
            self._repeat(key, problem, where)
        elif self._ids.setdefault(problem.id, key) != key:
            raise ConfigError(
                f"{self._setting}.columns.id: {where}: {problem.id!r} stands twice; "
                "map another column to `id`, or none"
            )
        else:
            self._found[key] = (problem, where)

    def _repeat(self, key: Key, problem: Problem, where: str) -> None:
        first, first_where = self._found[key]
        if _same(first.answer, problem.answer):
            self.repetitions += 1
            return
        error = BadRow(
            _CONTRADICTION,
            f"the same problem as {first_where}, but the answer {problem.answer[:60]!r}, "
            f"not {first.answer[:60]!r}",
            key="columns.answer",
        )
        self._contradicted[key] = error
        raise error

    def problems(self, sieve: Sieve) -> list[Problem]:
        """What is left: of contradicting rows none, for nobody knows which one is right."""
        for key, error in self._contradicted.items():
            sieve.refuse(error, self._found[key][1])
        return [p for key, (p, _) in self._found.items() if key not in self._contradicted]


def _same(a: str, b: str) -> bool:
    return a == b or is_correct(f"\\boxed{{{a}}}", b) or is_correct(f"\\boxed{{{b}}}", a)
