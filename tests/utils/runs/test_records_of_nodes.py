"""Two nodes that share a run's folder: neither touches the other's files, and all are read."""

from __future__ import annotations

from pathlib import Path

from utils.runs.record_writer import RecordWriter
from utils.records import ConversationRecord, check, load_run


def conversation(problem: str, step: int = 0) -> ConversationRecord:
    return ConversationRecord(problem_id=problem, sample=0, step=step, problem="?", answer="1")


def test_nodes_write_beside_each_other(tmp_path: Path) -> None:
    first, second = RecordWriter(tmp_path), RecordWriter(tmp_path, node=1)
    for step in (0, 1):
        first.add(conversation("a", step))
        second.add(conversation("b", step))
        first.settle()  # the second is still in its batch
        second.add(conversation("c", step))
        second.settle()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"conversations.jsonl", "conversations.node1.jsonl"}
    assert sorted((r.problem_id, r.step) for r in load_run(tmp_path)) == [
        (problem, step) for problem in "abc" for step in (0, 1)
    ]
    assert [check(tmp_path / name) for name in sorted(names)] == [[], []]
    second.rewind(1)
    assert sorted((r.problem_id, r.step) for r in load_run(tmp_path)) == [
        ("a", 0), ("a", 1), ("b", 0), ("c", 0),
    ]  # fmt: skip
