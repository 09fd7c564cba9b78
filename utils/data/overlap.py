"""Held-out problems that are trained on too: said, with their number."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from utils.data.problems import Problem

_log = logging.getLogger(__name__)


def say_shared(
    train: Sequence[Problem],
    held_out: Sequence[Problem],
    *,
    setting: str = "dataset.eval_datasets",
) -> int:
    """How many held-out problems have the text or id of a training problem; one line if any do.

    The other problems of transfer tests count on both sides.
    """
    texts, ids = {key for p in train for key in _keys(p)}, {p.id for p in train}
    by_text = [p for p in held_out if any(key in texts for key in _keys(p))]
    by_id = [p for p in held_out if p.id in ids]
    shared = {id(p) for p in (*by_text, *by_id)}
    if shared:
        _log.warning(
            "%s: %d of %d held-out problems are training problems too (%d by their text, %d by "
            "their id; first: %.60r); what is measured on them is not held out",
            setting, len(shared), len(held_out), len(by_text), len(by_id),
            (by_text or by_id)[0].text,
        )  # fmt: skip
    return len(shared)


def _keys(problem: Problem) -> list[str]:
    return [_key(p) for p in (problem, problem.transfer) if p is not None]


def _key(problem: Problem) -> str:
    """The text without differences of blanks and capitals; with its options, if it has any."""
    return " ".join(f"{problem.text} {problem.extra.get('choices', '')}".split()).casefold()
