"""Monitors that know students: does the tutor tell them apart, is anybody left behind?

Each needs a record that names its students (`generation.students`), at least two of them; of
others they say nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean

from config.post_tests import Test
from utils.metrics.monitor import Monitor, Records
from utils.metrics.post_tests import after, before
from utils.metrics.statistics import NOTHING, Estimate
from utils.records import ConversationRecord

FEWEST = 4  # conversations of a student below which nothing is said of it


def _by_student(records: Records) -> dict[str, list[ConversationRecord]]:
    found: dict[str, list[ConversationRecord]] = defaultdict(list)
    for record in records:
        if record.student_kind:
            found[record.student_persona].append(record)
    enough = {name: rows for name, rows in sorted(found.items()) if len(rows) >= FEWEST}
    return enough if len(enough) > 1 else {}


def _words(records: Iterable[ConversationRecord]) -> Counter[str]:
    """How often the tutor's turns hold each word; numbers, which are the problem's, count alike."""
    words: Counter[str] = Counter()
    for record in records:
        for message in record.messages:
            if message.role == "teacher":
                text = message.visible.casefold().split()
                words.update("#" if any(c.isdigit() for c in word) else word for word in text)
    return words


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    """Shared mass of two word distributions: 1 equal, 0 disjoint."""
    a, b = one.total(), other.total()
    return sum(min(one[word] / a, other[word] / b) for word in one.keys() & other.keys())


def adapts_to_students(records: Records) -> Estimate:
    """How much more a tutor's words differ between students than within one.

    Of each student the conversations are dealt into two halves.  Overlap of words between the
    halves of one student, less that between halves of two; 0: the same to everybody.
    """
    halves = [(_words(rows[::2]), _words(rows[1::2])) for rows in _by_student(records).values()]
    halves = [(a, b) for a, b in halves if a and b]
    if len(halves) < 2:
        return NOTHING
    within = fmean(_overlap(a, b) for a, b in halves)
    between = fmean(
        _overlap(a, b)
        for i, (a, _) in enumerate(halves)
        for j, (_, b) in enumerate(halves)
        if i != j
    )
    return Estimate(mean=within - between, se=None, n=len(records), clusters=len(halves))


def least_helped_student(records: Records) -> Estimate:
    """The smallest mean gain of any student: after less before, or after where that is unknown."""
    gains: list[float] = []
    for rows in _by_student(records).values():
        values = []
        for record in rows:
            test: Test = "same" if record.solutions else "transfer"
            then, first = after(test)(record), before(test)(record)
            if then is not None:
                values.append(then - (first or 0.0))
        if len(values) >= FEWEST:
            gains.append(fmean(values))
    if len(gains) < 2:
        return NOTHING
    return Estimate(mean=min(gains), se=None, n=len(records), clusters=len(gains))


def least_gradient_share(records: Records) -> Estimate:
    """Of the groups that give a gradient, the smallest share of any student, to its share of all.

    1: every student teaches the tutor as much as it is met; 0: all groups of one of them, problems
    at a step, have rewards without any spread.
    """
    groups: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for name, rows in _by_student([r for r in records if r.split == "train"]).items():
        for r in rows:
            groups[name, r.step, r.problem_id] += [r.rewards["total"]] if r.rewards else []
    met: Counter[str] = Counter(name for name, _, _ in groups)
    spread: Counter[str] = Counter(
        name for (name, _, _), v in groups.items() if v and max(v) - min(v) > 1e-9
    )
    if len(met) < 2 or not spread:
        return NOTHING
    ratios = [(spread[n] / spread.total()) / (met[n] / met.total()) for n in met]
    return Estimate(mean=min(ratios), se=None, n=len(records), clusters=len(met))


OF_STUDENTS = (
    Monitor(
        name="adapts_to_students",
        means="the tutor says the same to every student",
        value=adapts_to_students,
        low=0.005,
        shrinks=0.35,
    ),
    Monitor(
        name="least_helped_student",
        means="there is a student whom nobody helps",
        value=least_helped_student,
        low=0.0,
    ),
    Monitor(
        name="least_gradient_share",
        means="a student's share of the groups that give a gradient has drifted from its weight",
        value=least_gradient_share,
        low=0.25,
    ),
)
