"""Each tutor turn is judged before anybody reads it; what a failed turn comes to is a setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.schema import GenerationSettings, TrainRLConfig
from src.dialog.judges import build_turn_judges, load_rules
from src.grpo.held_out import check_best_metric
from src.inference_providers.base import GaveUp
from src.inference_providers.scripted import Ask, ScriptedProvider
from tests.src.scripted_classroom import PROBLEMS, classroom, generation, run_all, says, spoken
from utils.answers.said.leaks import match_leak_in_last_turn
from utils.credit.outcomes import outcome_of
from utils.data.problems import Problem
from utils.metrics.conversation import is_share, more_is_better, summarise
from utils.records import ConversationRecord

FOUR: Problem = PROBLEMS[3]  # its answer is 4
COMPLAINTS = Path("prompt_templates/complaints.txt").read_text().splitlines()
RULES = {"leak": "matcher"}


def tells_at_second(ask: Ask) -> str:
    """The tutor asks, tells the answer, asks again, and ends."""
    said = ask.text.count("Q!") + ask.text.count("It is 4.")
    return ["Q!", "It is 4.", "Q! Then?", "Bye. <end_of_conversation>"][min(said, 3)]


def held(
    judge: ScriptedProvider | None = None, *, tutor: Any = tells_at_second, **changes: Any
) -> tuple[ConversationRecord, list[Ask]]:
    student = says("Hm.")
    settings = generation(
        forced_conversation_type="guided", max_turns=12, **({"turn_rules": RULES} | changes)
    )
    room = classroom(settings, ScriptedProvider(tutor), student, judge)
    [record] = run_all(room, [FOUR], samples=1)
    assert ConversationRecord.from_json(record.to_json()) == record
    return record, student.calls


def tutors(record: ConversationRecord) -> list[Any]:
    return [m for m in record.messages if m.role == "teacher"]


def test_recorded_and_nothing_else() -> None:
    record, _ = held()
    plain, _ = held(turn_rules={})
    assert [m.failed for m in tutors(record)] == [False, True, False, False]
    verdict = tutors(record)[1].verdicts["leak"]
    assert verdict.decision == "REJECT" and '"It is 4."' in verdict.reasoning
    assert [(m.cost, m.withheld, m.earns) for m in tutors(record)] == [(0.0, False, True)] * 4
    assert record.trajectory == plain.trajectory and record.rewards == plain.rewards
    assert [m.visible for m in record.messages] == [m.visible for m in plain.messages]


def test_penalised_at_its_own_tokens() -> None:
    record, _ = held(failed_turn="penalise", turn_penalty=0.5)
    plain, _ = held(turn_rules={})
    assert [m.cost for m in tutors(record)] == [0.0, 0.5, 0.0, 0.0]
    assert record.trajectory == plain.trajectory, "the conversation is the same"
    turns = outcome_of(record).turns
    assert [t.earns for t in turns] == [True, False, True, True]
    assert record.trajectory is not None
    texts = [bytes(i for i in record.trajectory.completion_ids[t.start : t.end] if i < 256)
             for t in turns]  # fmt: skip
    assert texts[1] == b"It is 4." and [t.decode() for t in texts] == [
        m.content for m in tutors(record)
    ]
    assert all(all(record.trajectory.mask[t.start : t.end]) for t in turns)


@pytest.mark.parametrize("final", ["persona", "prompt_templates/student_final_system.txt"])
def test_withheld_from_everybody_but_the_tutor(final: str) -> None:
    record, asked = held(failed_turn="withhold", student_final_system_prompt_path=final)
    told, complaint = record.messages[2], record.messages[3]
    assert told.withheld and told.visible == "" and told.content == "It is 4." and told.cost == 1.0
    assert complaint.scripted and complaint.content in COMPLAINTS and complaint.tokens == 0
    assert asked and not any(
        "It is 4" in ask.text or complaint.content in ask.text for ask in asked
    )
    assert "Q!" in asked[-1].text and "Q! Then?" in asked[-1].text
    assert record.verdicts["does_not_leak_answer"][0].decision == "OK", "nobody heard it"
    assert spoken(record) == [m.content for m in tutors(record)], "the tutor's row has it"
    assert record.trajectory is not None
    row = zip(record.trajectory.completion_ids, record.trajectory.mask, strict=True)
    given = [i for i, mask in row if not mask and i < 256]
    assert complaint.content in bytes(given).decode(), "the tutor hears the complaint"
    assert record.usage["student"].requests == 2 + 2  # turns that were heard, solutions


def test_complaints_go_by_seed_and_are_the_users_own(tmp_path: Path) -> None:
    found = {held(failed_turn="withhold")[0].messages[3].content for _ in range(2)}
    assert len(found) == 1, "the same each time"
    own = tmp_path / "own.txt"
    own.write_text("{{ student_name or 'I' }} shrugs.\n\n{{ student_name or 'I' }} frowns.\n")
    changes = {"failed_turn": "withhold", "complaints_path": str(own), "student_names": ["Sam"]}
    record, _ = held(tutor=lambda ask: "It is 4.", **changes)
    said = {m.content for m in record.messages if m.scripted}
    assert said == {"Sam shrugs.", "Sam frowns."}
    own.write_text("{{ answer }}")
    with pytest.raises(ConfigError, match=r"^generation\.complaints_path: "):
        held(**changes)


def test_a_tutor_that_only_tells_teaches_nothing() -> None:
    """All is withheld: the student is asked after an empty conversation, and it all ends."""
    record, asked = held(tutor=lambda ask: "It is 4.", failed_turn="withhold")
    assert len(record.messages) == 12 and record.stop_reason == "max_turns"
    assert record.usage["student"].requests == 2 and len(record.solutions) == 2
    assert not any("It is 4" in ask.text for ask in asked)
    assert not any(t.earns for t in outcome_of(record).turns)
    found = summarise([record])
    assert (found["turns_failed"].mean, found["turns_withheld"].mean) == (1.0, 1.0)
    assert found["turns_failed_by_leak"].mean == 1.0


def test_an_opening_attempt_and_a_peer(tmp_path: Path) -> None:
    persona = tmp_path / "peer.txt"
    persona.write_text("You are Noor. {{ problem }}")
    settings = generation(
        forced_conversation_type="attempted", max_turns=7, turn_rules=RULES,
        failed_turn="withhold", peers={"Noor": str(persona)},
    )  # fmt: skip
    student = says("Hm.")
    tutor = ScriptedProvider(lambda ask: "Q!" if "It is 4." in ask.text else "It is 4.")
    [record] = run_all(classroom(settings, tutor, student), [FOUR], samples=1)
    who = [m.speaker or m.role for m in record.messages]
    assert who == ["student", "Noor", "teacher", "student", "teacher", "student", "Noor"]
    assert [m.scripted for m in record.messages] == [False] * 3 + [True] + [False] * 3
    assert not any("It is 4" in ask.text for ask in student.calls)


def test_thinking_is_judged_by_nobody_and_belongs_to_its_turn() -> None:
    record, _ = held(
        tutor=lambda ask: "It is 4.</think>Q!", use_thinking=True, force_thinking=True,
        failed_turn="penalise",
    )  # fmt: skip
    assert not any(m.failed for m in tutors(record))
    turns, row = outcome_of(record).turns, record.trajectory
    assert row is not None and sum(t.end - t.start for t in turns) == sum(row.mask)


def test_a_turn_cut_short_is_a_turn() -> None:
    record, _ = held(
        tutor=lambda ask: "It is 4. " + "a" * 60, max_tokens_per_turn=20, failed_turn="withhold"
    )
    assert {m.stop_reason for m in tutors(record)} == {"length"}
    assert all(m.withheld for m in tutors(record))
    assert [t.end - t.start for t in outcome_of(record).turns] == [20] * 6


# -- rules that a model reads ------------------------------------------------------------------

PROMPT = {"guides": "prompt_templates/judges/turn_guides.txt"}


def verdicts(ask: Ask) -> str:
    last = ask.text.split("The transcript:")[-1]
    message = last[last.rindex("Message") :]
    decision = "REJECT" if "It is 4." in message else "OK"
    return f'{{"reasoning": "so", "decision": "{decision}"}}'


def test_a_prompt_is_asked_about_the_last_turn() -> None:
    judge = ScriptedProvider(verdicts)
    record, _ = held(judge, turn_rules=PROMPT, failed_turn="withhold")
    assert [m.failed for m in tutors(record)] == [False, True, False, False]
    assert record.usage["judge"].requests == 4 == len(judge.calls)
    assert "It is 4." not in judge.calls[2].text, "what was withheld is no part of what follows"
    seeds = [ask.sampling.seed for ask in judge.calls]
    assert len(set(seeds)) == 4
    again, _ = held(ScriptedProvider(verdicts), turn_rules=PROMPT, failed_turn="withhold")
    assert again.messages == record.messages


@pytest.mark.parametrize("failing", ["unreadable", "gives up"])
def test_a_verdict_that_never_comes_fails_the_turn(failing: str) -> None:
    def answer(ask: Ask) -> str:
        if failing == "gives up" and len(judge.calls) > 1:
            raise GaveUp("busy")
        return "{}" if failing == "unreadable" else '{"reasoning": "", "decision": "OK"}'

    judge = ScriptedProvider(answer)
    changes = {"turn_rules": PROMPT, "failed_turn": "penalise", "judge_retries": 2}
    record, _ = held(judge, **changes)
    failed = [m.failed for m in tutors(record)]
    if failing == "unreadable":
        assert failed == [True] * 4 and len(judge.calls) == 4 * 3
        assert {m.verdicts["guides"].attempts for m in tutors(record)} == {3}
    else:
        assert failed == [False, True, True, True]
    assert [m.verdicts["guides"].decision for m in tutors(record)][-1] is None
    assert record.rewards, "the conversation stays in its group"


def test_a_rule_that_is_only_reported_fails_nothing() -> None:
    record, _ = held(failed_turn="penalise", rules_only_reported=["leak"])
    assert not any(m.failed or m.cost for m in tutors(record))
    assert [m.verdicts["leak"].decision for m in tutors(record)] == ["OK", "REJECT", "OK", "OK"]
    assert summarise([record])["turns_failed_by_leak"].mean == 0.25


def test_a_function_judges_what_was_said_so_far() -> None:
    record, _ = held(turn_rules={"odd": "tests.rules:odd"})
    letters = [1, 1 + 4, 1 + 4 + 5, 1 + 4 + 5 + 3]
    reasons = [m.verdicts["odd"].reasoning for m in tutors(record)]
    assert reasons == [f"{n} letters" for n in letters]


def test_rules_are_seen_to_before_anything_starts(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("{{ transcript }} {{ nothing }} {{ problem }}")
    for source in (str(bad), "tests.rules:nothing"):
        with pytest.raises(ConfigError, match=r"^generation\.turn_rules\.mine: "):
            load_rules(GenerationSettings(turn_rules={"mine": source}))
    with pytest.raises(ConfigError, match="needs a model to judge it"):
        build_turn_judges(GenerationSettings(turn_rules=PROMPT), None)


def test_only_the_last_turn_is_matched() -> None:
    talk = [("teacher", "It is 4."), ("student", "Oh."), ("teacher", "Why is that?")]
    assert match_leak_in_last_turn("What is 3 + 1?", "4", talk).decision == "OK"
    assert match_leak_in_last_turn("What is 3 + 1?", "4", talk[:1]).decision == "REJECT"
    found = match_leak_in_last_turn("What is 3 + 1?", "4", [*talk, ("teacher", "So it is 4!")])
    assert found.decision == "REJECT" and "Turn 4" in found.reasoning


def test_what_turns_did_may_choose_the_best_checkpoint() -> None:
    cfg = TrainRLConfig(generation=GenerationSettings(turn_rules=RULES))
    cfg.train.best_metric = "turns_failed_by_leak"
    check_best_metric(cfg)
    assert is_share("turns_failed_by_leak") and not more_is_better("turns_failed_by_leak")
    cfg.generation.turn_rules = {}
    with pytest.raises(ConfigError, match=r"^train\.best_metric: no metric is called turns_failed"):
        check_best_metric(cfg)
