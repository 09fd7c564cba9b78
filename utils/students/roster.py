"""Who meets which problem: a batch is stratified by weight, an evaluation has everybody.

In training the students of a batch are drawn by systematic sampling: the weights, laid end to end,
are cut at `places` equally spaced points that begin at a random offset; so a student of share w
meets floor(w * places) or one more.  A second draw mixes the places, so that nobody meets the first
problems of a batch only.  Both draws are keyed by the run's seed, the epoch and the step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from config.schema import GenerationSettings
from config.students import Student, has_named_students, students_of
from utils.seeding import keyed_choice, keyed_rng


def stratified(weights: Mapping[str, float], places: int, *address: object) -> list[str]:
    """A name for each place; each name as often as its share says, rounded up or down."""
    names, edges = list(weights), list(accumulate(weights.values()))
    if not names or edges[-1] <= 0:
        raise ValueError("nobody has a weight above 0")
    last = max(i for i, name in enumerate(names) if weights[name] > 0)
    offset = keyed_rng("students", *address).random()
    points = ((place + offset) / places * edges[-1] for place in range(places))
    found = [names[min(bisect_right(edges, point), last)] for point in points]
    keyed_rng("places", *address).shuffle(found)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The students of a run, and whom a problem meets."""

    students: Mapping[str, Student]  # in the order of names
    seed: int
    by_problem: bool  # the older setting: each problem has its student, chosen by its address

    @classmethod
    def of(cls, generation: GenerationSettings, seed: int) -> Roster:
        return cls(
            students={student.name: student for student in students_of(generation)},
            seed=seed,
            by_problem=not has_named_students(generation),
        )

    @property
    def evaluated(self) -> int:
        """How many students each problem meets in an evaluation."""
        return 1 if self.by_problem else len(self.students)

    def of_batch(self, places: int, *, step: int, epoch: int) -> list[str] | None:
        """Whom each problem of a training batch meets; None where its address says so."""
        if self.by_problem:
            return None
        weights = {n: s.weight for n, s in self.students.items() if not s.held_out}
        return stratified(weights, places, self.seed, epoch, step)

    def of_problem(self, problem_id: str, epoch: int) -> str:
        """The student that a problem's address chooses (the older setting)."""
        return keyed_choice(sorted(self.students), "persona", self.seed, epoch, problem_id)

    def of_sample(self, problem_id: str, sample: int, epoch: int) -> str:
        """Whom a problem's sample of this number meets in an evaluation: everybody in turn."""
        if self.by_problem:
            return self.of_problem(problem_id, epoch)
        return list(self.students)[sample % len(self.students)]
