"""Post-tests: which problem is solved before and after, in whose view, with which words hidden."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import StudentEntry
from src.inference_providers.base import GaveUp
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.fakes import as_text
from tests.src.dialog.test_afterwards import FILES
from tests.src.scripted_classroom import classroom, generation, run_all, says
from utils.data.problems import Problem
from utils.students.moment import Moment

PAIR = Problem(id="p", text="What is 1 + 1?", answer="2").with_transfer("What is 2 + 3?", "5")
TEXTS = FILES | {
    "student_transfer_prompt_path": "NEW {{ problem }}{% if tutor_hidden %}!{% endif %}"
}


def settings(tmp_path: Any, **changes: Any) -> Any:
    """Prompts that are a word each, so that views are read as text."""
    paths: dict[str, Any] = {}
    for key, text in TEXTS.items():
        (tmp_path / key).write_text(text)
        paths[key] = str(tmp_path / key)
    (tmp_path / "persona").write_text("PERSONA {{ problem }}")
    more = {
        "student_personas_prompts_paths": {"p": str(tmp_path / "persona")},
        "number_student_attempts": 1, "number_initial_attempts": 1, "student_names": [None],
        "max_turns": 4, "forced_conversation_type": "guided", "post_test": "transfer",
    }  # fmt: skip
    return generation(**(more | paths | changes))


def views(made: Any, tutor: str = "Go on.", **room: Any) -> list[str]:
    """Every prompt of the student's, roles as <s> and <u>, in order; attempts answer `5`."""
    asked: list[str] = []

    def answer(ask: Ask) -> str:
        asked.append(as_text(ask.prompt_ids or ()))
        return "\\boxed{5}" if "SOLVE" in asked[-1] or "NEW" in asked[-1] else "I see."

    run_all(classroom(made, says(tutor), ScriptedProvider(answer), **room), [PAIR], samples=1)
    return asked


def test_in_a_transfer_test_the_tutor_is_hidden_and_the_own_words_stay(tmp_path: Any) -> None:
    found = views(settings(tmp_path))
    assert "<u>TRY What is 2 + 3?||" in found
    assert found[-1] == "<s>EXAM|<u>(hidden)||I see.|<u>(hidden)||I see.|<u>NEW What is 2 + 3?!||"


def test_the_tutor_may_stay_in_view(tmp_path: Any) -> None:
    found = views(settings(tmp_path, hide_tutor=False))
    assert found[-1] == "<s>EXAM|<u>Go on.||I see.|<u>Go on.||I see.|<u>NEW What is 2 + 3?||"


def test_under_a_persona_that_stays_the_conversation_is_read_again_too(tmp_path: Any) -> None:
    made = settings(tmp_path, student_final_system_prompt_path="persona")
    start = "<s>PERSONA What is 1 + 1?|<u>(hidden)||I see."
    assert views(made)[-1] == f"{start}|<u>(hidden)||I see.|<u>NEW What is 2 + 3?!||"


def test_an_attempt_stays_in_view_and_so_do_peers(tmp_path: Any) -> None:
    (tmp_path / "peer").write_text("PEER")
    made = settings(
        tmp_path, forced_conversation_type="attempted", peers={"Ann": str(tmp_path / "peer")}
    )
    found = views(made)[-1]
    assert "Tutor: (hidden)" in found and "Go on." not in found
    assert found.startswith("<s>EXAM|<u>TRY||I see.|<u>Ann: I see.\n\nTutor: (hidden)")


def test_nothing_said_is_nothing_hidden(tmp_path: Any) -> None:
    found = views(settings(tmp_path), "<end_of_conversation>")
    assert found[-1] == "<s>EXAM|<u>NEW What is 2 + 3?!||"


def test_a_withheld_turn_and_its_complaint_are_in_no_view(tmp_path: Any) -> None:
    made = settings(
        tmp_path, turn_rules={"no": "tests.src.dialog.test_post_tests:rejects"},
        failed_turn="withhold",
    )  # fmt: skip
    assert views(made)[-1] == "<s>EXAM|<u>NEW What is 2 + 3?!||"


def rejects(problem: str, answer: str, turns: Any) -> Any:
    from utils.verdicts.judging import Verdict

    return Verdict(decision="REJECT", reasoning="no")


def test_both_tests_each_with_its_own_before(tmp_path: Any) -> None:
    made = settings(tmp_path, post_test="both", number_student_attempts=2)
    student = ScriptedProvider(lambda ask: "\\boxed{5}" if "NEW" in ask.text else "\\boxed{2}")
    [record] = run_all(classroom(made, says("Go on."), student), [PAIR], samples=1)
    assert [s.correct for s in record.initial_solutions] == [True]  # 2, of 1 + 1
    assert [s.correct for s in record.solutions] == [True, True]
    assert record.transfer is not None and record.transfer.tutor_hidden
    assert (record.transfer.problem, record.transfer.answer) == ("What is 2 + 3?", "5")
    assert [s.correct for s in record.transfer.initial_solutions] == [False]
    assert [s.correct for s in record.transfer.solutions] == [True, True]


def test_the_problem_itself_is_not_asked_in_a_transfer_test(tmp_path: Any) -> None:
    [record] = run_all(
        classroom(settings(tmp_path), says("Go on."), says("\\boxed{5}")), [PAIR], samples=1
    )
    assert not record.solutions and not record.initial_solutions
    assert record.transfer is not None and record.transfer.solutions[0].correct
    assert record.rewards["solve"] == 1.0


def test_before_is_asked_once_a_problem_and_student(tmp_path: Any) -> None:
    made = settings(tmp_path, post_test="both", number_initial_attempts=3)
    asked: list[str] = []

    def answer(ask: Ask) -> str:
        asked.append(ask.text)
        return "Hm."

    run_all(classroom(made, says("Go on."), ScriptedProvider(answer)), [PAIR], samples=4)
    before = [text for text in asked if text.startswith("TRY What")]
    assert sorted(before) == ["TRY What is 1 + 1?"] * 3 + ["TRY What is 2 + 3?"] * 3


def test_a_scripted_student_is_told_of_the_other_problem_and_hears_no_tutor(tmp_path: Any) -> None:
    moments.clear()
    persona = settings(tmp_path).student_personas_prompts_paths["p"]
    made = settings(
        tmp_path,
        students={"a": StudentEntry(persona, replies="tests.src.dialog.test_post_tests:replies")},
    )
    [record] = run_all(classroom(made, says("Go on."), says("Hm.")), [PAIR], samples=1)
    first, last = next(m for m in moments if m.what == "initial"), moments[-1]
    assert (first.what, first.problem, first.answer) == ("initial", "What is 2 + 3?", "5")
    assert (last.what, last.problem) == ("solution", "What is 2 + 3?")
    assert list(last.turns) == [("teacher", "(hidden)"), ("student", "mine")] * 2
    assert record.transfer is not None and record.transfer.solutions[0].text == "mine"


moments: list[Moment] = []


def replies(moment: Moment) -> str:
    moments.append(moment)
    return "mine"


def test_a_problem_without_another_one_is_refused(tmp_path: Any) -> None:
    alone = Problem(id="q", text="What is 1 + 1?", answer="2")
    room = classroom(settings(tmp_path), says("Go on."), says("Hm."))
    with pytest.raises(ConfigError, match=r"^generation\.post_test: .*q has no transfer_problem"):
        run_all(room, [alone], samples=1)


def test_what_was_never_measured_before_is_left_out_and_not_rewarded_zero(tmp_path: Any) -> None:
    made = settings(tmp_path, gain="difference")

    def answer(ask: Ask) -> str:
        if ask.text.startswith("TRY"):
            raise GaveUp("no")
        return "\\boxed{5}"

    room = classroom(made, says("Go on."), ScriptedProvider(answer))
    for record in asyncio.run(room.run([PAIR], samples=2)):
        assert (record.excluded, record.rewards) == ("no_pre_test", {})


def test_a_hosted_student_reads_the_same_in_messages(tmp_path: Any) -> None:
    asked: list[Any] = []

    def answer(ask: Ask) -> str:
        asked.append(ask.messages)
        return "I see."

    room = classroom(settings(tmp_path), says("Go on."), ScriptedProvider(answer), renderer=None)
    run_all(room, [PAIR], samples=1)
    said = [(message["role"], message["content"]) for message in asked[-1]]
    assert said == [
        ("system", "EXAM"), ("user", "(hidden)"), ("assistant", "I see."), ("user", "(hidden)"),
        ("assistant", "I see."), ("user", "NEW What is 2 + 3?!"),
    ]  # fmt: skip
