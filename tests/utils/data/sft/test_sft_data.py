"""From the record to rows: what counts as accepted, which pairs are made, what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from utils.data.sft import sft_data
from utils.data.sft.chat_rows import read_chat, read_pair
from utils.records import ConversationRecord, Message, Solution, VerdictRecord
from utils.runs.read import Run, open_run
from utils.runs.record_writer import RecordWriter

OK, REJECT = VerdictRecord(decision="OK"), VerdictRecord(decision="REJECT")
MISSING = VerdictRecord(decision=None)


def said(role: str, content: str, **more: Any) -> Message:
    more.setdefault("visible", content)
    return Message(role=role, content=content, **more)  # type: ignore[arg-type]


def record(problem: str, sample: int = 0, **more: Any) -> ConversationRecord:
    """A guided conversation of two tutor turns, accepted, half solved."""
    fields: dict[str, Any] = {
        "run": "r",
        "problem_id": problem,
        "sample": sample,
        "problem": f"What is {problem}?",
        "answer": "7",
        "student_name": "Ann",
        "student_persona": "simple_student",
        "messages": [
            said("teacher", f"<think>plan</think>Hint {sample}?", visible=f"Hint {sample}?"),
            said("student", "<think>secret</think>Hm.", visible="Hm."),
            said("teacher", "Good. <end_of_conversation>", visible="Good."),
        ],
        "verdicts": {"leak": [OK, OK], "values": [OK, OK]},
        "solutions": [Solution(text="", correct=c) for c in (True, False)],
        "rewards": {"solve": 0.5, "total": 0.5},
    }
    return ConversationRecord(**(fields | more))


def run_of(folder: Path, records: list[ConversationRecord], **generation: Any) -> Run:
    """A run folder with this record and these generation settings."""
    writer = RecordWriter(folder)
    for each in records:
        writer.add(each)
    writer.settle()
    (folder / "config.yaml").write_text(yaml.safe_dump({"generation": generation}))
    return open_run(folder)


def rewarded(total: float) -> dict[str, float]:
    return {"total": total}


def test_an_accepted_conversation_as_the_tutor_saw_it(tmp_path: Path) -> None:
    (row,) = sft_data.accepted([run_of(tmp_path, [record("3+4")])]).rows
    system, *talk = row["messages"]
    assert system["role"] == "system"
    assert "What is 3+4?" in system["content"]
    assert "Ann" in system["content"]
    assert talk == [
        {"role": "assistant", "content": "<think>plan</think>Hint 0?"},
        {"role": "user", "content": "Hm."},
        {"role": "assistant", "content": "Good. <end_of_conversation>"},
    ]
    assert row["opening"]
    assert (row["solve_rate"], row["reward"], row["id"]) == (0.5, 0.5, "r/train/0/3+4/0")


def test_an_attempt_opens_the_conversation_in_its_wrapping(tmp_path: Path) -> None:
    turns = [said("student", "I got 9."), said("teacher", "How?"), said("student", "So.")]
    given = record("3+4", messages=turns, type="attempted")
    (row,) = sft_data.accepted([run_of(tmp_path, [given])]).rows
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
    assert "I got 9." in row["messages"][1]["content"] != "I got 9."


def test_the_runs_own_prompts_are_used(tmp_path: Path) -> None:
    prompt = tmp_path / "own.txt"
    prompt.write_text("Teach {{ problem }}{% if use_thinking %}, thinking{% endif %}.")
    run = run_of(
        tmp_path / "run", [record("3+4")], teacher_prompt_path=str(prompt), use_thinking=True
    )
    (row,) = sft_data.accepted([run]).rows
    assert row["messages"][0]["content"] == "Teach What is 3+4?, thinking."


def test_what_is_not_accepted_is_counted_by_reason(tmp_path: Path) -> None:
    cut = [said("teacher", "Hint", stop_reason="length")]
    run = run_of(
        tmp_path,
        [
            record("kept"),
            record("one", verdicts={"leak": [OK, REJECT], "values": [OK]}),
            record("two", verdicts={"leak": [OK], "values": [MISSING]}),
            record("three", verdicts={}),
            record("four", excluded="missing_verdict", rewards={}),
            record("five", messages=cut),
            record("six", messages=[said("student", "Hello?")]),
            record("seven", split="eval"),
        ],
    )
    harvest = sft_data.accepted([run])
    assert len(harvest.rows) == 1
    assert harvest.dropped == {
        "rejected by a judge": 1,
        "with a missing verdict": 1,
        "not judged": 1,
        "without a reward": 1,
        "with a tutor's turn cut off": 1,
        "no tutor turn": 1,
    }
    assert len(sft_data.accepted([run], split="all").rows) == 2


def test_rules_that_are_only_reported_do_not_reject(tmp_path: Path) -> None:
    given = record("3+4", verdicts={"leak": [OK], "style": [REJECT]})
    run = run_of(tmp_path, [given], rules_only_reported=["style"])
    assert len(sft_data.accepted([run]).rows) == 1
    only_reported = record("3+4", verdicts={"style": [OK]})
    run = run_of(tmp_path / "b", [only_reported], rules_only_reported=["style"])
    assert sft_data.accepted([run]).dropped == {"not judged": 1}


def test_solve_rate_bound_is_inclusive(tmp_path: Path) -> None:
    run = run_of(tmp_path, [record("half"), record("none", solutions=[])])
    assert len(sft_data.accepted([run]).rows) == 2
    assert len(sft_data.accepted([run], min_solve_rate=0.5).rows) == 1
    assert len(sft_data.accepted([run], min_solve_rate=0.51).rows) == 0


def test_the_same_conversation_is_one_row(tmp_path: Path) -> None:
    run = run_of(tmp_path, [record("3+4"), record("3+4", step=2), record("3+4", 1)])
    harvest = sft_data.accepted([run])
    assert len(harvest.rows) == 2
    assert harvest.dropped == {"repetitions": 1}


def test_pairs_of_a_group_by_hand(tmp_path: Path) -> None:
    """Rewards 0.9, 0.5, 0.5, -0.75: the first beats three, each of the middle ones the last."""
    rejected = {"leak": [REJECT], "values": [OK]}
    group = [
        record("3+4", 0, rewards=rewarded(0.5)),
        record("3+4", 1, rewards=rewarded(-0.75), verdicts=rejected),
        record("3+4", 2, rewards=rewarded(0.9)),
        record("3+4", 3, rewards=rewarded(0.5)),
        record("5+1", 0, rewards=rewarded(-0.25), verdicts=rejected),
        record("5+1", 1, rewards=rewarded(-0.75), verdicts=rejected),
        record("9+9", 0, rewards=rewarded(1.0)),
    ]
    harvest = sft_data.pairs([run_of(tmp_path, group)])
    found = {(int(r["id"][-1]), r["rejected_sample"], r["margin"]) for r in harvest.rows}
    assert found == {(2, 0, 0.4), (2, 3, 0.4), (2, 1, 1.65), (0, 1, 1.25), (3, 1, 1.25)}
    assert harvest.dropped == {
        "pairs of like reward": 1,
        "pairs whose better one was not accepted": 1,
    }
    assert len(sft_data.pairs([open_run(tmp_path)], min_margin=1.0).rows) == 3
    row = next(r for r in harvest.rows if r["rejected_sample"] == 1)
    assert [m["role"] for m in row["prompt"]] == ["system"]
    assert row["rejected"][0]["content"].endswith("Hint 1?")
    read_pair(row)


def test_groups_are_of_one_step(tmp_path: Path) -> None:
    rows = [record("3+4", 0), record("3+4", 1, step=2, rewards=rewarded(0.1))]
    assert not sft_data.pairs([run_of(tmp_path, rows)]).rows


def test_groups_are_of_one_student_and_of_the_tutors_own_words(tmp_path: Path) -> None:
    """An evaluation's samples meet several students in turn: who is met makes no better tutor."""
    group = [
        record("3+4", n, rewards=rewarded(n / 10), student_persona="ab"[n % 2]) for n in range(4)
    ]
    given = [record("3+4", 4 + n, rewards=rewarded(n), help="targeted") for n in range(2)]
    harvest = sft_data.pairs([run_of(tmp_path, group + given)])
    assert {(int(r["id"][-1]), r["rejected_sample"]) for r in harvest.rows} == {(2, 0), (3, 1)}
    assert harvest.dropped == {"conversations whose tutor was given its words": 2}


def test_command_writes_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = record("1+1", verdicts={"leak": [REJECT]})
    run_of(tmp_path / "run", [record("3+4"), bad])
    out = tmp_path / "deep" / "sft.jsonl"
    assert sft_data.main([str(tmp_path / "run"), "--accepted", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 1 rows; left out: 1 rejected by a judge\n"
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    read_chat(row)


def test_command_says_when_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tmp_path / "run", [record("3+4", verdicts={"leak": [REJECT]})])
    out = tmp_path / "sft.jsonl"
    assert sft_data.main([str(tmp_path / "run"), "--accepted", "--out", str(out)]) == 2
    assert "no row is left; left out: 1 rejected by a judge" in capsys.readouterr().err
    assert not out.exists()
    assert sft_data.main([str(tmp_path / "none"), "--pairs", "--out", str(out)]) == 2
