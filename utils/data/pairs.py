"""Generated problems in pairs: each gets another draw of the same kind for its transfer test.

The other one is of the same task, parameters and split, so nothing held out is drawn for training
or the other way round.  It has another answer too, unless the task has few of them: then the
other answer would be known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from config.errors import ConfigError
from utils.data.problems import Problem
from utils.seeding import keyed_rng

FEW_ANSWERS = 10


def paired(problems: Sequence[Problem], seed: int) -> list[Problem]:
    """Those without another problem of their kind with one, drawn by seed and problem.

    Raises ConfigError for a source of a single problem.
    """
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.source].append(problem)
    few = {source: len({p.answer for p in found}) < FEW_ANSWERS for source, found in kinds.items()}
    return [
        problem
        if problem.transfer is not None
        else _with_another(problem, kinds[problem.source], few[problem.source], seed)
        for problem in problems
    ]


def _with_another(problem: Problem, kind: Sequence[Problem], few: bool, seed: int) -> Problem:
    rng = keyed_rng("transfer", seed, problem.id)
    for _ in range(100):
        other = rng.choice(kind)
        if other.text != problem.text and (few or other.answer != problem.answer):
            return problem.with_transfer(other.text, other.answer)
    raise ConfigError(
        f"generation.post_test: {problem.source} has no other problem than {problem.text[:60]!r}"
    )
