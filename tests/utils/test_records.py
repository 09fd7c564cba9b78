"""The record: settled in order, whatever a kill left behind, and rewound to a checkpoint."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tests.synthetic import record
from utils.records import ConversationRecord, Usage, check, load_run, main, read
from utils.runs import record_writer
from utils.runs.record_writer import RecordWriter, spending


def test_settled_in_canonical_order_and_never_twice(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    for number in (2, 0, 1):
        writer.add(record(number))
    assert [r.problem_id for r in load_run(tmp_path)] == ["p00002", "p00000", "p00001"]
    writer.settle()
    assert [r.problem_id for r in read(writer.record)] == ["p00000", "p00001", "p00002"]
    assert not writer.journal.exists()
    writer.add(record(1))  # killed between the append and the unlink
    writer.add(record(3))
    writer.settle()
    again = RecordWriter(tmp_path)
    again.add(record(3))
    again.settle()
    assert [r.problem_id for r in read(writer.record)] == [f"p0000{n}" for n in range(4)]
    assert check(writer.record) == []


def test_a_torn_line_is_held_again(tmp_path: Path) -> None:
    for name in ("conversations.jsonl", "conversations.journal.jsonl"):
        writer = RecordWriter(tmp_path)
        writer.add(record(0))
        with (tmp_path / name).open("a") as file:
            file.write(record(1).to_json()[:200])
        assert [r.problem_id for r in load_run(tmp_path)] == ["p00000"]
        writer = RecordWriter(tmp_path)
        writer.add(record(1))
        writer.settle()
        assert [r.problem_id for r in read(writer.record)] == ["p00000", "p00001"]
        writer.record.unlink()


def test_a_batch_is_settled_with_one_conversation_in_memory(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    one = record(0, tokens=True)
    for number in range(64):
        writer.add(one.model_copy(update={"problem_id": f"p{number}", "source": "x" * 100_000}))
    lines = writer.journal.read_bytes().splitlines(keepends=True)
    tracemalloc.start()
    writer.settle()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(lines[0])
    assert sorted(writer.record.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_torn_tail_is_found_from_the_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_writer, "PIECE", 7)
    path = tmp_path / "conversations.journal.jsonl"
    for before, after in (
        (b"", b""),
        (b"whole\n", b"whole\n"),
        (b"whole\nand a torn line", b"whole\n"),
        (b"whole\ntorn", b"whole\n"),
        (b"nothing but a torn line", b""),
    ):
        path.write_bytes(before)
        RecordWriter(tmp_path)
        assert path.read_bytes() == after


def test_rewound_to_what_a_checkpoint_had_seen(tmp_path: Path) -> None:
    """A training step carries the number of steps before it; an evaluation those it measures."""
    writer = RecordWriter(tmp_path)
    for step in (0, 2, 4):
        writer.add(record(0, split="train", step=step))
        writer.add(record(0, split="eval", step=step))
    writer.settle()
    writer.add(record(1, split="eval", step=0))  # half an evaluation
    writer.add(record(1, split="train", step=4))
    writer.rewind(2)
    kept = sorted((r.split, r.step, r.problem_id) for r in load_run(tmp_path))
    assert kept == [
        ("eval", 0, "p00000"),
        ("eval", 0, "p00001"),
        ("eval", 2, "p00000"),
        ("train", 0, "p00000"),
    ]
    writer.add(record(0, split="train", step=2))
    writer.settle()
    assert len(list(read(writer.record))) == 5 and check(writer.record) == []


def test_what_is_forgotten_stays_paid(tmp_path: Path) -> None:
    """Over two resumptions, as a cap has to count it."""
    for resumed in range(3):
        writer = RecordWriter(tmp_path)
        writer.rewind(0)
        assert sum(used["judge"].requests for used in spending(tmp_path)) == 5 * resumed
        paid = {"judge": Usage(requests=5, prompt_tokens=7)}
        writer.add(record(0, split="train").model_copy(update={"usage": paid}))
    assert len(load_run(tmp_path)) == 1
    assert sum(used["judge"].prompt_tokens for used in spending(tmp_path)) == 21


def test_a_run_folder_is_checked_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for node in (0, 1):
        writer = RecordWriter(tmp_path, node)
        writer.add(record(node))
        writer.settle()
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("1 conversations, all valid") == 2
    with (tmp_path / "conversations.jsonl").open("a") as file:
        file.write("{}\n")
    assert main(["check", str(tmp_path)]) == 1
    assert "conversations.jsonl:2: problem_id" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / "empty")]) == 1
    assert "there is no conversations.jsonl in this folder" in capsys.readouterr().err


def test_a_record_from_before_loads_with_what_it_meant_then() -> None:
    """No word about which verdicts count, which rule is the leak's, who was solved, what cut."""
    line = (
        '{"schema": 1, "problem_id": "p", "problem": "?", "answer": "4", '
        '"messages": [{"role": "teacher", "content": "", "visible": "", "stop_reason": "length"}], '
        '"verdicts": {"does_not_leak_answer": [{"decision": "REJECT"}]}}'
    )
    old = ConversationRecord.from_json(line)
    assert old.leak_rule == "does_not_leak_answer" and not old.accepted_only
    assert old.verdicts["does_not_leak_answer"][0].counts
    assert not old.messages[0].out_of_room
