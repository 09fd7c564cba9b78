"""Scripted conversations at their limits: of a turn, of the conversation, of the context."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.fakes import END
from tests.src.scripted_classroom import PROBLEMS, classroom, generation, run_all, says, spoken
from utils.records import ConversationRecord


@pytest.mark.parametrize(("cap", "own"), [(10, True), (40, False)])
def test_only_a_turns_own_cap_costs(cap: int, own: bool) -> None:
    """A tutor who writes on and on, up to a cap of 10, or to what 60 tokens in all have left."""

    def held(**limits: int) -> tuple[ScriptedProvider, list[ConversationRecord]]:
        def teacher(ask: Ask) -> str:
            return "Go on." if ask.sampling.max_tokens == 40 else "a" * 60

        tutor, kind = ScriptedProvider(teacher), "guided"
        room = generation(forced_conversation_type=kind, max_turns=20, **limits)
        return tutor, run_all(classroom(room, tutor, says("Hm.")), PROBLEMS[:1])

    tutor, _ = held(max_tokens_per_turn=cap)
    prompt = len(tutor.calls[0].prompt_ids)
    _, records = held(max_tokens_per_turn=cap, max_tokens_in_conversation=prompt + 60)
    for record in records:
        cut = [m for m in record.messages if m.role == "teacher" and m.stop_reason == "length"]
        assert cut and cut[0].out_of_room == (not own)
        assert record.rewards["length"] == (-0.5 if own else 0.0)


def test_a_forced_opening_that_leaves_no_room_ends_the_conversation() -> None:
    """However few tokens are left in the context, nobody is asked for none."""
    forced = generation(use_thinking=True, force_thinking=True)
    teacher = says("a</think>b")
    run_all(classroom(forced, teacher, says("Yes.")), PROBLEMS[:1], samples=1)
    second = len(teacher.calls[1].prompt_ids or ())
    reasons = set()
    for context in range(second - 12, second + 3):
        teacher, student = says("a</think>b"), ScriptedProvider(lambda ask: "Yes.")
        room = classroom(forced, teacher, student, context_length=context)
        (record,) = run_all(room, PROBLEMS[:1], samples=1)
        assert record.error is None
        assert all(ask.sampling.max_tokens > 0 for ask in teacher.calls)
        reasons.add((len(teacher.calls), record.stop_reason))
    assert reasons >= {(1, "max_tokens"), (2, "max_tokens")}


def test_truncated_turns_train_no_end_token() -> None:
    room = classroom(generation(max_tokens_per_turn=3), says("Go on then."), says("Yes."))
    for record in run_all(room):
        assert record.trajectory is not None
        pairs = zip(record.trajectory.completion_ids, record.trajectory.mask, strict=True)
        assert not any(token == END and mask for token, mask in pairs)
        assert record.rewards["length"] == -0.5
        assert spoken(record) == ["Go "] * len(spoken(record))


def test_running_out_of_tokens_ends_the_conversation() -> None:
    teacher = says("word " * 20)
    room = classroom(generation(max_tokens_in_conversation=2000), teacher, says("word " * 60))
    records = run_all(room, PROBLEMS[:2])
    room = classroom(generation(max_tokens_in_conversation=10), teacher, says("x"))
    assert all(r.stop_reason in ("max_tokens", "max_turns") for r in records)
    for record in run_all(room, PROBLEMS[:2]):
        assert record.stop_reason == "max_tokens"
        assert record.excluded == "no_tutor_turn"
        assert record.rewards == {} and record.trajectory is None


@settings(max_examples=30, deadline=None)
@given(
    turns=st.integers(1, 7),
    cap=st.integers(1, 40),
    total=st.integers(300, 3000),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["guided", "attempted"]),
)
def test_trajectories_are_the_tutors_turns(
    turns: int, cap: int, total: int, seed: int, kind: str
) -> None:
    made = generation(
        max_turns=turns,
        max_tokens_per_turn=cap,
        max_tokens_in_conversation=total,
        forced_conversation_type=kind,
    )
    babble = [ScriptedProvider(seed=seed + i, name=f"m{i}", words=(1, 12)) for i in range(2)]
    for record in run_all(classroom(made, *babble, seed=seed), PROBLEMS[:2]):
        told = [m for m in record.messages if m.role == "teacher"]
        if record.trajectory is None:
            assert not told
            continue
        row = record.trajectory
        assert len(row.completion_ids) == len(row.mask) == len(row.logprobs)
        assert row.mask[0] == row.mask[-1] == 1
        assert [p is not None for p in row.logprobs] == [m == 1 for m in row.mask]
        assert spoken(record) == [m.content for m in told]
        assert sum(row.mask) == sum(m.tokens for m in told)
        ends = sum(t == END and m for t, m in zip(row.completion_ids, row.mask, strict=True))
        assert ends == sum(m.stop_reason == "stop" for m in told)
