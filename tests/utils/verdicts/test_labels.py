"""Label files of three layouts, each written here afresh."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from config.errors import ConfigError
from utils.verdicts.labels import Labelled, read_labels

PLAIN = {
    "conversation": "c1",
    "problem": "What is 3 x 7?",
    "answer": "21",
    "turns": [["student", "20?"], ["teacher", "It is 21."]],
    "label": "REJECT",
}
MATHDIAL = {
    "qid": 7,
    "scenario": 1,
    "question": " How many? ",
    "ground_truth": "3 x 7 = 21\n 21",
    "student_incorrect_solution": "20",
    "conversation": "Teacher: (probing)Why?|EOM|Sam: I guess.|EOM|Teacher: (telling)It is 21.",
}


def mrbench(label: str, solution: str = "3 x 7 = 21\n 21") -> dict:
    return {
        "conversation_id": "m1",
        "conversation_history": "Tutor: Hi. The question is: How many?\u00a0\n Student: 20\n"
        "Tutor: Sure?\nTutor: Look again.\n\u00a0Student: Yes.",
        "Ground_Truth_Solution": solution,
        "anno_llm_responses": {
            "A": {"response": "It is 21.", "annotation": {"Revealing_of_the_Answer": label}}
        },
    }


def written(tmp_path: Path, *rows: object, array: bool = False) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(rows) if array else "".join(f"{json.dumps(r)}\n" for r in rows))
    return path


def test_plain_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, PLAIN))
    turns = (("student", "20?"), ("teacher", "It is 21."))
    assert labels.rows == [
        Labelled(
            conversation="c1", problem="What is 3 x 7?", answer="21", turns=turns, rejected=True
        )
    ]


def test_each_tutor_turn_of_mathdial_is_a_row_and_telling_is_rejected(tmp_path: Path) -> None:
    first, second = read_labels(written(tmp_path, MATHDIAL)).rows
    assert (first.group, first.rejected, first.turns) == (
        "probing", False, (("student", "20"), ("teacher", "Why?")),
    )  # fmt: skip
    assert (second.group, second.rejected, len(second.turns)) == ("telling", True, 4)
    assert second.turns[2] == ("student", "I guess.")
    assert (second.problem, second.answer, second.conversation) == ("How many?", "21", "7/1")


def test_only_a_right_answer_revealed_is_a_leak_in_mrbench(tmp_path: Path) -> None:
    says = ["Yes (and the answer is correct)", "Yes (but the answer is incorrect)", "No"]
    path = written(tmp_path, *map(mrbench, says), mrbench("No", "Not Available"), array=True)
    labels = read_labels(path)
    assert [row.rejected for row in labels.rows] == [True, False, False]
    assert labels.left_out == Counter({"without problem or solution": 1})
    row = labels.rows[0]
    assert (row.problem, row.answer, row.group) == ("How many?", "21", says[0])
    assert row.turns == (
        ("student", "20"),
        ("teacher", "Sure?\nLook again."),
        ("student", "Yes."),
        ("teacher", "It is 21."),
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (PLAIN | {"label": "yes"}, "line 1: label is 'yes'"),
        ({k: v for k, v in PLAIN.items() if k != "answer"}, "line 1: no 'answer'"),
        (PLAIN | {"turns": [["judge", "x"]]}, "a turn's role is 'judge'"),
        (MATHDIAL | {"conversation": "no speaker"}, "turn 1 names no speaker"),
        (mrbench("No", "Not Available"), "no labelled turn in it: 1 without problem"),
    ],
)
def test_a_bad_file_is_one_line_with_its_place(tmp_path: Path, row: dict, said: str) -> None:
    with pytest.raises(ConfigError, match="--labels") as caught:
        read_labels(written(tmp_path, row))
    assert said in str(caught.value)


def test_what_is_no_file_or_no_json_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_labels(tmp_path / "none")
    (tmp_path / "x").write_text("{\n")
    with pytest.raises(ConfigError, match="line 1: no JSON"):
        read_labels(tmp_path / "x")


def test_a_sample_is_the_same_each_time_and_keeps_conversations_whole(tmp_path: Path) -> None:
    rows = [PLAIN | {"conversation": f"c{n // 4}"} for n in range(40)]
    labels = read_labels(written(tmp_path, *rows))
    sample = labels.sample(8)
    assert sample == labels.sample(8)
    assert sorted(Counter(r.conversation for r in sample.rows).values()) == [4, 4]
    assert sample.left_out["not in the sample"] == 32
    assert {r.conversation for r in sample.rows} != {"c0", "c1"}
