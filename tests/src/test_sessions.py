"""Several problems in one conversation: who is told what, judged by which answer, solved when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import RewardModelSettings
from src.classroom import Classroom
from src.dialog.conversation import Conversation, State
from src.dialog.judges import build_judges, build_turn_judges
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.fakes import END, participant
from tests.src.dialog.views.test_trajectory import FAMILIES
from tests.src.scripted_classroom import classroom, generation, run_all, says, spoken
from tests.src.tokens import template_families as families
from utils.credit.outcomes import outcome_of
from utils.data.problems import Problem
from utils.records import ConversationRecord, load_run
from utils.rewards import RewardSettings
from utils.runs.record_writer import RecordWriter
from utils.sessions import talks

EARLIER = tuple(
    Problem(id=f"e{i}", text=f"What is {i} + 40?", answer=str(i + 40)) for i in range(2)
)
LAST = Problem(id="last", text="What is 50 + 7?", answer="57", earlier=EARLIER)
BYE = "Go on. <end_of_conversation>"
ASKS_ALONE = "Your tutor is not here now"


def hold(teacher: Any, student: Any, *, evaluation: bool = False, **changes: Any) -> Any:
    made = generation(**({"forced_conversation_type": "guided"} | changes))
    tutor = teacher if isinstance(teacher, ScriptedProvider) else ScriptedProvider(teacher)
    pupil = student if isinstance(student, ScriptedProvider) else ScriptedProvider(student)
    room = classroom(made, tutor, pupil, evaluation=evaluation)
    return run_all(room, [LAST], samples=1)[0]


@pytest.mark.parametrize("kind", ["guided", "attempted"])
def test_each_problem_has_its_talk_and_the_last_one_none(kind: str) -> None:
    record = hold(lambda ask: BYE, lambda ask: "\\boxed{41}", forced_conversation_type=kind)
    first = ["student"] if kind == "attempted" else []
    assert [(m.role, m.problem) for m in record.messages] == [
        (role, i) for i in range(2) for role in (*first, "teacher")
    ]
    assert (record.problem_id, record.problem, record.answer) == ("last", LAST.text, "57")
    assert [t.problem_id for t in record.session] == ["e0", "e1"]
    assert [t.stop_reason for t in record.session] == ["tutor_ended"] * 2
    assert [[s.correct for s in t.solutions] for t in record.session] == [[False] * 2, [True] * 2]
    assert [[s.correct for s in t.alone] for t in record.session] == [[], [True] * 2]
    assert [s.correct for s in record.solutions] == [False] * 2
    assert spoken(record) == [BYE, BYE]


def test_what_is_measured_beforehand_is_the_first_and_the_last() -> None:
    record = hold(lambda ask: BYE, lambda ask: "\\boxed{57}", number_initial_attempts=3)
    assert [s.correct for s in record.initial_solutions] == [True] * 3
    assert [len(t.alone) for t in record.session] == [3, 2]


def test_who_is_told_of_the_next_problem_and_when() -> None:
    tutor, student = says(BYE), says("\\boxed{1}")
    record = hold(tutor, student)
    first, second = (ask.text for ask in tutor.calls)
    assert EARLIER[0].text in first and EARLIER[1].text not in first
    assert second.startswith(first) and EARLIER[1].text in second.removeprefix(first)
    assert LAST.text not in first + second
    alone = [ask for ask in student.calls if ASKS_ALONE in ask.text]
    assert len(alone) == 4, "two attempts at the second and at the last"
    assert LAST.text in alone[-1].text and LAST.text not in alone[0].text
    told = alone[-1].text
    assert [told.index(p.text) for p in (*EARLIER, LAST)] == sorted(
        told.index(p.text) for p in (*EARLIER, LAST)
    )
    assert told.count(EARLIER[1].text) == 1, "what was asked aside is not in the view"
    row = record.trajectory
    assert row is not None and row.mask[-1] == 1 and row.completion_ids[-1] == END


def test_a_leak_is_of_the_problem_that_is_talked_about() -> None:
    """The second's answer said in the first talk gives nothing away; in its own talk it does."""

    def tutor(ask: Ask) -> str:
        return f"It is 41. {BYE}"

    record = hold(tutor, lambda ask: "Hm.")
    found = record.verdicts["does_not_leak_answer"]
    assert [(v.problem, v.decision) for v in found] == [(0, "OK"), (1, "REJECT")]
    assert record.rewards["pedagogy"] == -0.75
    assert [t.problem for t in talks(record)] == [p.text for p in EARLIER]
    assert [[v.decision for v in t.verdicts["does_not_leak_answer"]] for t in talks(record)] == [
        ["OK"], ["REJECT"],
    ]  # fmt: skip


def test_single_turns_are_judged_by_the_problem_talked_about() -> None:
    record = hold(
        lambda ask: f"It is 41. {BYE}",
        lambda ask: "Hm.",
        turn_rules={"leak": "matcher"},
        failed_turn="withhold",
        max_turns=2,
    )
    own = [m for m in record.messages if m.role == "teacher"]
    assert [(m.problem, m.failed, m.withheld) for m in own] == [(0, False, False), (1, True, True)]


def test_turns_are_counted_by_problem_and_tokens_by_session() -> None:
    record = hold(lambda ask: "Go on.", lambda ask: "Hm.", max_turns=4)
    assert [m.problem for m in record.messages] == [0] * 4 + [1] * 4
    assert [t.stop_reason for t in record.session] == ["max_turns"] * 2
    short = hold(
        lambda ask: "Go on.", lambda ask: "Hm.", max_turns=999, max_tokens_in_conversation=2000
    )
    assert short.stop_reason == "max_tokens"
    assert [t.stop_reason for t in short.session] == ["max_tokens", None]
    assert len(short.solutions) == 2, "the last problem is asked all the same"
    assert len(talks(short)) == 1


def test_rejected_and_hard_the_last_problem_is_not_asked() -> None:
    for evaluation, solved in ((False, 0), (True, 2)):
        record = hold(
            lambda ask: f"It is 41. {BYE}", lambda ask: "Hm.",
            ignore_rejected_judge=False, evaluation=evaluation,
        )  # fmt: skip
        assert record.rewards["total"] == -0.75 and len(record.solutions) == solved


def test_what_is_rewarded_is_a_setting() -> None:
    """Told the answer of each, the student can say it right after the talk, and no later."""

    def student(ask: Ask) -> str:
        alone = ask.text.rfind(ASKS_ALONE) > ask.text.rfind("Go on.")
        answer = "41" if EARLIER[1].text in ask.text else "40"
        return "\\boxed{0}" if alone else f"\\boxed{{{answer}}}"

    rewards = {
        how: hold(lambda ask: BYE, student, session_reward=how).rewards["solve"]
        for how in ("last", "each")
    }
    assert rewards == {"last": 0.0, "each": 1.0}


def test_a_tutors_ending_is_paid_by_problem() -> None:
    def tutor(ask: Ask) -> str:
        return BYE if EARLIER[1].text in ask.text else "Go on."

    record = hold(tutor, lambda ask: "Hm.", max_turns=3)
    assert [t.stop_reason for t in record.session] == ["max_turns", "tutor_ended"]
    assert record.rewards["end_of_conversation"] == pytest.approx(0.1 * 0.5)


def test_credit_compares_turns_about_the_same_problem() -> None:
    record = hold(lambda ask: "Go on.", lambda ask: "Hm.", max_turns=3)
    assert outcome_of(record).places == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_without_a_session_nothing_is_asked_or_recorded_of_one() -> None:
    alone = replace(LAST, earlier=())
    student = says("\\boxed{57}")
    room = classroom(generation(), says(BYE), student)
    record = run_all(room, [alone], samples=1)[0]
    assert record.session == [] and talks(record) == [record]
    assert not any(ASKS_ALONE in ask.text for ask in student.calls)


# -- the mask, over chat templates -------------------------------------------------------------


@lru_cache(None)
def renderer(name: str) -> Any:
    return families.family(name)[1]


def babbling(name: str, role: str, seed: int) -> Any:
    rendering = renderer(name)
    provider = ScriptedProvider(seed=seed, name=role, codec=rendering, words=(0, 6))
    return participant(role, provider, renderer=rendering)


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=6, deadline=None)
@given(
    turns=st.integers(2, 5), cap=st.integers(1, 30), total=st.integers(200, 2500),
    seed=st.integers(0, 99), kind=st.sampled_from(["guided", "attempted"]),
)  # fmt: skip
def test_the_mask_is_the_tutors_tokens_over_a_session(
    name: str, turns: int, cap: int, total: int, seed: int, kind: str
) -> None:
    made = generation(
        max_turns=turns, max_tokens_per_turn=cap, max_tokens_in_conversation=total,
        forced_conversation_type=kind, number_student_attempts=1,
    )  # fmt: skip
    tutor = babbling(name, "teacher", seed)
    people = Participants(
        teacher=tutor,
        student=babbling(name, "student", seed),
        judges=build_judges(made, None),
        turn_judges=build_turn_judges(made, None),
    )
    prompts, paid = Prompts.load(made), RewardSettings.of(made, RewardModelSettings())
    room = Classroom(made, people, prompts, paid, seed=seed)
    [record] = asyncio.run(room.run([LAST], samples=1))
    sampled = asked_and_said(tutor.provider)
    told = [m for m in record.messages if m.role == "teacher"]
    assert [len(said) for _, said in sampled] == [m.tokens for m in told]
    row = record.trajectory
    if row is None:
        assert not told
        return
    whole = row.prompt_ids + row.completion_ids
    mask = [0] * len(row.prompt_ids) + row.mask
    wanted = [0] * len(whole)
    for prompt, said in sampled:  # each turn stands where it was asked for, as it was sampled
        assert whole[: len(prompt) + len(said)] == [*prompt, *said]
        wanted[len(prompt) : len(prompt) + len(said)] = [1] * len(said)
    assert mask == wanted


def asked_and_said(provider: ScriptedProvider) -> list[tuple[Sequence[int], Sequence[int]]]:
    """(prompt, sampled ids) of each request, as the provider repeats them."""
    return [(ask.prompt_ids or (), provider._sampled(ask)[0]) for ask in provider.calls]


def keyed(record: ConversationRecord) -> str:
    return record.model_copy(update={"timing": {}}).to_json()


def test_the_same_at_any_concurrency() -> None:
    made = generation(number_initial_attempts=2)
    found = []
    for slots in (1, 0):
        settings_ = replace(made, max_concurrent_conversations=slots)
        babble = [ScriptedProvider(seed=i, name=f"m{i}") for i in range(2)]
        records = run_all(classroom(settings_, *babble), [LAST], samples=3)
        found.append([keyed(r) for r in records])
    assert found[0] == found[1] and len(set(found[0])) == 3


class Killed(BaseException):
    """What ends the process in the middle of a session."""


def test_killed_in_a_session_and_gone_on_with(tmp_path: Path) -> None:
    """The record is that of a run never killed; what was half held is held again, whole."""
    problems = [  # with earlier ones of their own: what is shared is paid for by whoever is first
        replace(LAST, id=f"last{i}", earlier=tuple(replace(e, id=f"{e.id}{i}") for e in EARLIER))
        for i in range(3)
    ]

    def hold_missing(folder: Path, killed_in: str) -> list[str]:
        made = generation(number_initial_attempts=2, max_concurrent_conversations=1)
        room = classroom(made, *(ScriptedProvider(seed=i, name=f"m{i}") for i in range(2)))

        def follow(conversation: Conversation) -> None:
            second = conversation.state is State.STUDENT_TURN and conversation.at == 1
            if second and conversation.problem.id == killed_in:
                raise Killed

        room.on_move = follow
        there = {r.key for r in load_run(folder)}
        missing = [p for p in problems if ("train", 0, p.id, 0) not in there]
        writer = RecordWriter(folder)
        asyncio.run(room.run(missing, samples=[0] * len(missing), on_finished=writer.add))
        writer.settle()
        return [keyed(r) for r in sorted(load_run(folder), key=lambda r: r.key)]

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    expected = hold_missing(whole, "")
    with pytest.raises(Killed):
        hold_missing(cut, killed_in="last1")
    assert len(load_run(cut)) == 1
    assert hold_missing(cut, "") == expected and len(expected) == 3
