"""The scheduling of residency as pure state: hand-made examples, and any load at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.vllm.gate import Gate, groups_of

TUTOR, STUDENT, JUDGE = ("turns",), ("turns", "solving"), ("judging",)
PHASES = {"tutor": TUTOR, "student": STUDENT, "judge": JUDGE}


def step(gate: Gate) -> list[str]:
    """Admit, or switch and admit; the engines of those admitted."""
    admitted = gate.admit()
    if not admitted and (group := gate.next_group()):
        gate.switch()
        assert gate.admit() == []
        gate.switched(group)
        admitted = gate.admit()
    return [ticket.engine for ticket in admitted]


def test_groups_by_residency() -> None:
    assert groups_of("always", PHASES) == []
    assert groups_of("turn", PHASES) == [{"tutor"}, {"student"}, {"judge"}]
    assert groups_of("phase", PHASES) == [{"tutor", "student"}, {"judge"}]
    shared = {"tutor": TUTOR, "rest": (*STUDENT, *JUDGE)}
    assert groups_of("phase", shared) == [{"tutor", "rest"}, {"rest"}]
    assert groups_of("phase", {"tutor": TUTOR, "student": STUDENT}) == [{"tutor", "student"}]
    assert groups_of("phase", {"all": (*TUTOR, *STUDENT, *JUDGE)}) == [{"all"}]


def test_nothing_switches_while_the_awake_group_works_or_is_wanted() -> None:
    gate = Gate(groups_of("phase", PHASES))
    tutor = gate.ask("tutor")
    judge = gate.ask("judge")
    assert step(gate) == ["tutor"]  # a tie: who came first
    assert step(gate) == []  # the tutor is busy
    student = gate.ask("student")
    gate.leave(tutor)
    assert step(gate) == ["student"]  # the awake group is still wanted
    gate.leave(student)
    assert step(gate) == ["judge"]
    gate.leave(judge)
    assert step(gate) == [] and gate.current == {"judge"}


def test_the_group_most_waited_for_is_woken() -> None:
    gate = Gate(groups_of("turn", PHASES))
    for engine in ("tutor", "judge", "student", "judge"):
        gate.ask(engine)
    assert step(gate) == ["judge", "judge"]


def test_a_shared_engine_is_asked_in_whichever_group_is_awake() -> None:
    gate = Gate(groups_of("phase", {"tutor": TUTOR, "rest": (*STUDENT, *JUDGE)}))
    first = gate.ask("tutor")
    assert step(gate) == ["tutor"] and gate.current == {"tutor", "rest"}
    gate.ask("rest")
    gate.leave(first)
    assert step(gate) == ["rest"] and gate.current == {"tutor", "rest"}


def test_while_engines_change_nobody_passes_not_even_to_the_group_that_leaves() -> None:
    gate = Gate(groups_of("turn", PHASES), current=frozenset({"tutor"}))
    gate.ask("judge")
    group = gate.next_group()
    gate.switch()
    gate.ask("tutor")
    assert gate.admit() == [] and gate.next_group() is None
    gate.switched(group)
    assert [ticket.engine for ticket in gate.admit()] == ["judge"]


def test_a_request_that_is_no_longer_wanted_neither_waits_nor_works() -> None:
    gate = Gate(groups_of("turn", PHASES))
    gate.leave(gate.ask("judge"))
    assert gate.next_group() is None
    running = gate.ask("tutor")
    step(gate)
    gate.leave(running)
    gate.ask("student")
    assert step(gate) == ["student"]


class Counted(list[frozenset[str]]):
    """Groups that count how often they are looked through."""

    looks = 0

    def __iter__(self) -> Iterator[frozenset[str]]:
        self.looks += 1
        return super().__iter__()


def test_a_request_costs_the_same_however_many_wait() -> None:
    def looks(waiting: int) -> int:
        groups = Counted(groups_of("turn", PHASES))
        gate = Gate(groups, current=frozenset({"tutor"}))
        running = [gate.ask("tutor") for _ in range(3)]
        for _ in range(waiting):
            gate.ask("judge")
        assert gate.admit() == running
        groups.looks = 0
        for ticket in running:
            gate.leave(ticket)
            gate.ask("student")
            assert gate.admit() == []
            gate.next_group()
        return groups.looks

    assert looks(1000) == looks(1)


def test_requests_of_several_engines_pass_in_the_order_they_came() -> None:
    gate = Gate(groups_of("phase", PHASES), current=frozenset({"tutor", "student"}))
    gate.switch()
    asked = [gate.ask(engine) for engine in ("tutor", "student", "tutor", "free", "student")]
    assert gate.admit() == [asked[3]]
    gate.switched(frozenset({"tutor", "student"}))
    assert gate.admit() == [*asked[:3], asked[4]]


@given(
    residency=st.sampled_from(["turn", "phase", "always"]),
    plans=st.lists(
        st.lists(st.sampled_from(["tutor", "student", "judge", "free"]), max_size=6), max_size=8
    ),
    order=st.randoms(use_true_random=False),
)
def test_any_load_ends_and_only_awake_engines_work(
    residency: str, plans: list[list[str]], order: object
) -> None:
    """Conversations each ask their engines one after the other, and end in any order."""
    gate = Gate(groups_of(residency, PHASES))
    left = [list(plan) for plan in plans]
    asking, running = {}, {}
    for _ in range(1000):
        for at, plan in enumerate(left):
            if plan and at not in asking and at not in running:
                asking[at] = gate.ask(plan.pop(0))
        if not asking and not running:
            break
        admitted = gate.admit()
        if not admitted and (group := gate.next_group()):
            assert not any(gate.is_gated(t.engine) for t in running.values())
            gate.switch()
            gate.switched(group)
            admitted = gate.admit()
            assert admitted
        for at in [at for at, ticket in asking.items() if ticket in admitted]:
            running[at] = asking.pop(at)
        for ticket in running.values():
            assert not gate.is_gated(ticket.engine) or ticket.engine in gate.current
        assert running  # otherwise nobody could ever go on
        done = order.choice(sorted(running))
        gate.leave(running.pop(done))
    assert not any(left) and not gate.waiting and not +gate.active


@pytest.mark.parametrize("residency", ["turn", "phase"])
def test_an_engine_that_nothing_would_wake_is_refused(residency: str) -> None:
    with pytest.raises(ValueError, match=r"^rest: sleeps, and no phase wakes it"):
        groups_of(residency, {"tutor": TUTOR, "rest": ()})
    assert groups_of("always", {"rest": ()}) == []
