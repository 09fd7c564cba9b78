"""A batch over several nodes is stratified as one, also where a group lies on two of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from config.schema import GenerationSettings, StudentEntry, TrainSettings
from src.grpo.lead import Lead
from utils.students.roster import Roster

PERSONA = "prompt_templates/personas/simple_student.txt"


def met(roster: Roster, node: int, rows: int, problems: int, samples: int) -> list[str] | None:
    train = TrainSettings(number_of_problems_per_batch=problems, num_samples_per_problem=samples)
    lead: Any = SimpleNamespace(
        cfg=SimpleNamespace(train=train), node=node, classroom=SimpleNamespace(roster=roster)
    )
    return Lead._whom(lead, rows, 5, 1)


@pytest.mark.parametrize(("problems", "samples", "nodes"), [(3, 2, 2), (4, 4, 1), (5, 4, 4)])
def test_nodes_agree_on_every_group(problems: int, samples: int, nodes: int) -> None:
    students = {name: StudentEntry(persona=PERSONA) for name in "abc"}
    roster = Roster.of(GenerationSettings(students=students), 3)
    rows = problems * samples // nodes
    found: list[str] = []
    for node in range(nodes):
        found += met(roster, node, rows, problems, samples) or []
    whole = roster.of_batch(problems, step=5, epoch=1)
    assert whole is not None
    assert found == [name for name in whole for _ in range(samples)]


def test_the_older_setting_leaves_it_to_the_problems() -> None:
    assert met(Roster.of(GenerationSettings(), 3), 0, 4, 2, 2) is None
