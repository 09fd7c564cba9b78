"""Growth is measured on the classroom itself; nothing is timed, but what is counted must be so."""

from __future__ import annotations

import pytest

from benchmarks.growth import engines, nodes, pieces, rollouts
from src.time_plan.assumed import Assumed


@pytest.fixture(scope="module")
def small() -> rollouts.Cost:
    return rollouts.measure(64)[0]


def test_a_rollout_is_whole_and_the_same_again(small: rollouts.Cost) -> None:
    again, records = rollouts.measure(64)
    assert len({record.key for record in records}) == 64
    assert all(record.rewards and record.solutions for record in records)
    answers = sum(use.requests for record in records for use in record.usage.values())
    # solutions of one prompt are one request; those before the conversation are the group's
    groups = {record.problem_id: len(record.initial_solutions or ()) for record in records}
    samples = [*(len(record.solutions) for record in records), *groups.values()]
    assert answers - sum(n - 1 for n in samples) == again.requests > 2 * 64
    assert 64 <= again.most_in_flight <= again.requests
    assert (again.requests, again.tokens, again.simulated_s, again.most_in_flight) == (
        small.requests,
        small.tokens,
        small.simulated_s,
        small.most_in_flight,
    )


def test_a_conversation_asks_and_records_as_much_in_a_small_rollout(small: rollouts.Cost) -> None:
    fewer = rollouts.measure(16)[0]
    for name in ("requests", "record_bytes"):
        each, other = getattr(fewer, name) / 16, getattr(small, name) / 64
        assert each == pytest.approx(other, rel=0.2)


def test_an_engine_serves_so_many_at_a_time(
    small: rollouts.Cost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SLOTS", 4)
    fewer_slots = rollouts.measure(64)[0]
    assert fewer_slots.tokens == small.tokens
    assert fewer_slots.simulated_s > 2 * small.simulated_s


def test_answers_are_as_long_as_asked_for() -> None:
    texts = engines.Texts(lambda text: list(text.encode()), Assumed(), max_turns=16)
    for kind in ("turn", "farewell", "solution", "verdict"):
        body, tokens = texts.answer(kind, 400)
        assert tokens == pytest.approx(400, abs=50) and b'"PROMPT"' in body


def test_leads_of_two_nodes_meet() -> None:
    alone, two = nodes.among(1), nodes.among(2)
    assert two.nodes == 2 and two.pulse_ms > 0
    assert two.files > alone.files  # connections between them


def test_what_a_batch_shares_is_measured() -> None:
    found = pieces.cost(16)
    assert found.conversations == 16
    assert min(found.gate_us, found.record_us, found.rows_us) > 0
