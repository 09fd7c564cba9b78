"""Rows of chats and of pairs: what is read, and what is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utils.data.rows.bad_rows import BadRow
from utils.data.sft.chat_rows import read_chat, read_pair

USER, TUTOR = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}
SYSTEM = {"role": "system", "content": "s"}


@pytest.mark.parametrize(
    ("messages", "reason", "detail"),
    [
        ([USER, TUTOR, USER], "ends with the student", "ends with the student"),
        ([USER], "no tutor turn", "says nothing"),
        ([USER, TUTOR, TUTOR], "two tutor turns in a row", "messages 2 and 3"),
        ([USER, SYSTEM, TUTOR], "malformed", "message 2 is a system message"),
        ([USER, {"role": "teacher", "content": "a"}], "unexpected role", "message 2 .*'teacher'"),
        ([USER, {"role": "assistant", "content": " "}], "empty message", "message 2"),
        ([USER, {"said": "a"}], "malformed", "message 2 has no role"),
        ("just text", "malformed", "not a list"),
        ([], "malformed", "not a list"),
    ],
)
def test_bad_conversations(messages: Any, reason: str, detail: str) -> None:
    with pytest.raises(BadRow, match=detail) as caught:
        read_chat({"messages": messages})
    assert caught.value.reason == reason


def test_good_conversations() -> None:
    assert read_chat({"messages": [TUTOR]}).messages == (TUTOR,)
    as_text = {"messages": json.dumps([SYSTEM, USER, TUTOR]), "opening": "o"}
    assert read_chat(as_text).messages == (SYSTEM, USER, TUTOR)
    assert read_chat(as_text).opening == "o"


@pytest.mark.parametrize(
    ("pair", "detail"),
    [
        ({"prompt": [TUTOR], "chosen": [TUTOR], "rejected": [TUTOR]}, "prompt: holds a tutor"),
        ({"prompt": [USER], "chosen": [USER, TUTOR], "rejected": [TUTOR]}, "chosen: does not beg"),
        ({"prompt": [USER], "chosen": [TUTOR], "rejected": [TUTOR, USER]}, "rejected: ends with"),
        ({"prompt": [], "chosen": [TUTOR], "rejected": [TUTOR]}, "are the same"),
    ],
)
def test_bad_pairs(pair: dict[str, Any], detail: str) -> None:
    with pytest.raises(BadRow, match=detail):
        read_pair(pair)
