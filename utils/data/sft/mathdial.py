"""MathDial (CC-BY-4.0): human tutors with simulated students, as conversations to train on.

Each line of its files holds a question, the student's wrong solution, and the dialog as text:
`Teacher: (move)words|EOM|Student: words|EOM|...`.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from utils.data.files import UNREADABLE, Row, read_file
from utils.data.rows.bad_rows import BadRow
from utils.data.rows.references import read_reference
from utils.data.sft.chat_rows import read_chat
from utils.data.sft.tutor_prompt import TutorPrompt

_BETWEEN = "|EOM|"
_TURN = re.compile(r"\s*(?P<who>[^:\n]{1,40}):\s*(?:\([a-z_ -]+\)\s*)?(?P<words>.*)", re.DOTALL)
_NEEDED = ("qid", "question", "ground_truth", "student_incorrect_solution", "conversation")


def read_mathdial(path: Path) -> tuple[list[dict[str, Any]], Counter[str]]:
    """(rows with `messages`, how many were left out by reason).  Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    rows, dropped = [], Counter[str]()
    prompt = TutorPrompt.of({})
    try:
        found = read_file(path)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    for where, fields in found:
        try:
            rows.append(_row(_fields(fields), prompt))
        except BadRow as error:
            if error.reason in ("malformed", UNREADABLE):
                raise ConfigError(f"{where}: {error}") from None
            dropped[error.reason] += 1
    return rows, dropped


def _fields(fields: Row) -> dict[str, Any]:
    if isinstance(fields, BadRow):
        raise fields
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise BadRow("malformed", f"no column {missing[0]}; it has {', '.join(fields)}")
    return dict(fields)


def _row(fields: dict[str, Any], prompt: TutorPrompt) -> dict[str, Any]:
    """The student's wrong solution opens the conversation: the tutor had it before its eyes."""
    problem = fields["question"].strip()
    answer = read_reference(fields["ground_truth"], "ground_truth")[0]
    talk = _talk(fields["conversation"])
    attempt = prompt.attempt(problem, fields["student_incorrect_solution"].strip())
    messages = [prompt.system(problem, answer), attempt, *talk]
    read_chat({"messages": messages})
    return {
        "messages": messages,
        "id": f"mathdial/{fields['qid']}/{fields.get('scenario', 0)}",
        "source": "mathdial",
        "problem": problem,
        "answer": answer,
    }


def _talk(conversation: str) -> list[dict[str, str]]:
    """Turns from the tutor's first to its last; turns of one speaker in a row are one."""
    talk: list[dict[str, str]] = []
    for number, turn in enumerate(conversation.split(_BETWEEN), 1):
        found = _TURN.fullmatch(turn)
        if not found:
            raise BadRow("malformed", f"conversation: turn {number} names no speaker")
        role = "assistant" if found["who"].strip() == "Teacher" else "user"
        words = found["words"].strip()
        if not words:
            continue
        if talk and talk[-1]["role"] == role:
            talk[-1]["content"] += f"\n\n{words}"
        else:
            talk.append({"role": role, "content": words})
    while talk and talk[-1]["role"] == "user":
        talk.pop()
    return talk
