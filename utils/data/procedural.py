"""Problems made on the spot by a task of reasoning-gym: seeded, no download, no end.

Which split a problem belongs to depends on its text alone (a keyed hash of it), so no seed and no
size can carry a problem from `test` into `train`, however few different problems a task has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from config.errors import ConfigError
from utils.data.problems import Problem
from utils.seeding import keyed_seed

PREFIX = "reasoning_gym:"
HELD_OUT = ("test", "eval", "validation", "val")
HELD_OUT_SHARE = 0.2
OURS = ("size", "question", "seed", "answer_in_text")
DEFAULT_SIZE = 500
_PATIENCE = 1000  # items in a row without a new problem: the task has no more


def is_held_out(text: str) -> bool:
    """Whether a problem is kept for the held-out splits."""
    return keyed_seed("held out", text) / 2**31 < HELD_OUT_SHARE


def wants_held_out(split: str, setting: str) -> bool:
    if split == "train" or split in HELD_OUT:
        return split != "train"
    known = ", ".join(("train", *HELD_OUT))
    raise ConfigError(f"{setting}.split: {split!r} is none of {known}")


def states(text: str, answer: str) -> bool:
    """Whether the answer stands in the text as a word or number of its own."""
    return re.search(rf"(?<![\w.]){re.escape(answer)}(?!\w|\.\d)", text) is not None


def generate(
    task: str, split: str, seed: int, parameters: Mapping[str, Any], *, setting: str
) -> Iterable[Problem]:
    """Different problems of one task, at most `size` of them (a small task may have fewer).

    Parameters are the task's own, and four of ours: `size`; `question`, a pattern for the text
    that may use what the task tells about an item (`"What is {expression}?"`); `seed`, in place of
    the run's; and `answer_in_text=false`, which leaves out problems in whose text the answer
    stands: no rule can see such an answer told.  Raises ConfigError naming `setting`.
    """
    own = {k: v for k, v in parameters.items() if k not in OURS}
    told = parameters.get("answer_in_text", True)
    size, question = parameters.get("size", DEFAULT_SIZE), parameters.get("question")
    seed, held_out = parameters.get("seed", seed), wants_held_out(split, setting)
    texts: set[str] = set()
    index, since = 0, 0
    while len(texts) < size and since < _PATIENCE:
        block = _block(task, keyed_seed(seed, task, index), own, setting)
        index += 1
        for item in block:
            text = _text(item, question, setting)
            since += 1
            if not told and states(text, str(item["answer"])):
                continue
            if text in texts or is_held_out(text) != held_out or len(texts) == size:
                continue
            texts.add(text)
            since = 0
            name = f"{task}-{keyed_seed(task, text):08x}"
            yield Problem(id=name, text=text, answer=str(item["answer"]), source=PREFIX + task)


def _block(task: str, seed: int, own: dict[str, Any], setting: str) -> Iterable[dict[str, Any]]:
    """500 items, freshly seeded."""
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        raise ConfigError(f"{setting}.name_or_path: reasoning-gym has no task {task!r}")
    try:
        return reasoning_gym.create_dataset(task, seed=seed, size=500, **own)
    except (TypeError, AssertionError, ValueError) as error:
        fields = ", ".join(k for k in DATASETS[task][1].__dataclass_fields__ if k != "seed")
        reason = str(error).replace(DATASETS[task][1].__name__ + ".__init__() ", "")
        raise ConfigError(
            f"{setting}.parameters: {reason} (the task {task} knows {fields})"
        ) from None


def _text(item: dict[str, Any], question: str | None, setting: str) -> str:
    if question is None:
        return str(item["question"]).strip()
    try:
        return question.format_map(item["metadata"])
    except KeyError as error:
        there = ", ".join(item["metadata"])
        raise ConfigError(f"{setting}.parameters.question: no {error}; there is {there}") from None
