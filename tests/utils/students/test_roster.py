"""Who meets which problem: shares by weight in every batch, everybody in an evaluation."""

from __future__ import annotations

from collections import Counter
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import GenerationSettings, StudentEntry
from utils.seeding import keyed_choice
from utils.students.roster import Roster, stratified

PERSONA = "prompt_templates/personas/simple_student.txt"


@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.floats(0, 50), min_size=1).filter(
        lambda weights: sum(weights.values()) > 1e-6
    ),
    st.integers(1, 60),
    st.integers(0, 10**6),
)
def test_each_has_its_share_rounded_up_or_down(
    weights: dict[str, float], places: int, seed: int
) -> None:
    found = Counter(stratified(weights, places, seed))
    assert found.total() == places
    for name, weight in weights.items():
        share = places * weight / sum(weights.values())
        assert floor(share - 1e-6) <= found[name] <= ceil(share + 1e-6)


def test_over_many_batches_everybody_has_exactly_its_weight_and_every_place() -> None:
    weights, places = {"a": 1.0, "b": 2.0, "c": 5.0}, 3
    batches = [stratified(weights, places, 0, 0, step) for step in range(4000)]
    counts = Counter(name for batch in batches for name in batch)
    for name, weight in weights.items():
        assert counts[name] / counts.total() == pytest.approx(weight / 8, abs=0.01)
    first = Counter(batch[0] for batch in batches)
    assert first["a"] / 4000 == pytest.approx(1 / 8, abs=0.02)


def test_the_address_decides_and_nothing_else() -> None:
    weights = {"a": 1.0, "b": 1.0}
    assert stratified(weights, 16, 1, 0, 7) == stratified(weights, 16, 1, 0, 7)
    different = {tuple(stratified(weights, 16, *a)) for a in ((1, 0, 7), (2, 0, 7), (1, 1, 7))}
    assert len(different) == 3
    with pytest.raises(ValueError, match="weight"):
        stratified({"a": 0.0}, 4, 0)


def test_the_older_setting_chooses_by_problem_as_it_did() -> None:
    settings = GenerationSettings(student_personas_prompts_paths={"b": PERSONA, "a": PERSONA})
    roster = Roster.of(settings, 42)
    assert roster.of_batch(8, step=0, epoch=0) is None and roster.evaluated == 1
    for problem in ("p1", "p2", "p3"):
        before = keyed_choice(["a", "b"], "persona", 42, 3, problem)
        assert roster.of_problem(problem, 3) == roster.of_sample(problem, 5, 3) == before


def test_held_out_students_are_met_in_evaluation_alone() -> None:
    entry = StudentEntry(persona=PERSONA)
    settings = GenerationSettings(
        students={"b": entry, "a": StudentEntry(persona=PERSONA, held_out=True), "c": entry}
    )
    roster = Roster.of(settings, 0)
    assert Counter(roster.of_batch(8, step=1, epoch=0)) == {"b": 4, "c": 4}
    assert roster.evaluated == 3
    assert [roster.of_sample("p", sample, 0) for sample in range(4)] == ["a", "b", "c", "a"]
