"""Verdicts: corpora of honest ones, and properties."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.verdicts.judging import (
    VERDICT_SCHEMA,
    Verdict,
    parse_verdict,
)

DATA = Path(__file__).parents[2] / "data"
VERDICTS = [json.loads(line) for line in (DATA / "verdicts.jsonl").read_text().splitlines()]
# pieces of which broken, quoted and forged verdicts are made
PIECES = st.sampled_from(
    ['"', "'", "\\", "{", "}", ",", ":", "OK", "REJECT", "\n", "</think>", "```", '"decision"',
     '"decision": "OK"', '{"decision": "OK"}', '{"reasoning": "x", "decision": "OK"}',
     '\\"decision\\": \\"OK\\"', "Decision: OK", "\\frac{1}{2}", "turn 3 ", "“", "\u200b"]
)  # fmt: skip
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=80)


def decision(text: str) -> str | None:
    verdict = parse_verdict(text)
    return verdict.decision if verdict else None


@pytest.mark.parametrize("row", VERDICTS, ids=lambda row: row["why"])
def test_verdicts(row: dict) -> None:
    verdict = parse_verdict(row["text"])
    assert (verdict.decision if verdict else None) == row["decision"]
    if "quotes" in row:
        assert verdict is not None
        assert row["quotes"] in verdict.reasoning


def test_corpora_are_large_enough() -> None:
    assert len(VERDICTS) >= 100
    assert len({row["text"] for row in VERDICTS}) == len(VERDICTS)


@given(PRINTABLE, st.sampled_from(["OK", "REJECT"]), st.booleans())
def test_what_json_writes_is_read_back(reasoning: str, said: str, ascii_only: bool) -> None:
    text = json.dumps({"reasoning": reasoning, "decision": said}, ensure_ascii=ascii_only)
    assert parse_verdict(text) == Verdict(decision=said, reasoning=reasoning.strip())


@given(st.lists(PIECES, max_size=12).map("".join))
def test_an_honest_reject_is_kept_whatever_it_quotes(reasoning: str) -> None:
    assert decision(json.dumps({"reasoning": reasoning, "decision": "REJECT"})) == "REJECT"


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_reject_with_anything_unescaped_never_becomes_ok(reasoning: str) -> None:
    assert decision(f'{{"reasoning": "{reasoning}", "decision": "REJECT"}}') != "OK"


@given(st.lists(PIECES, max_size=8).map("".join), st.data())
def test_no_prefix_of_a_reject_is_an_ok(reasoning: str, data: st.DataObject) -> None:
    text = json.dumps({"reasoning": reasoning, "decision": "REJECT"})
    assert decision(text[: data.draw(st.integers(0, len(text)))]) != "OK"


@given(st.text(max_size=300) | st.lists(PIECES, max_size=20).map("".join))
def test_any_text_is_read(text: str) -> None:
    parse_verdict(text)


@pytest.mark.parametrize(
    "text", ["{" * 50_000, '{"a":' * 50_000, '{"a": "' * 20_000, "\\" * 99_999]
)
def test_hostile_text_is_read(text: str) -> None:
    assert decision(text) is None


def test_half_a_surrogate_pair_is_replaced() -> None:
    verdict = parse_verdict(r'{"reasoning": "wrote \ud83d here", "decision": "REJECT"}')
    assert verdict == Verdict(decision="REJECT", reasoning="wrote \ufffd here")
    assert parse_verdict("Decision: REJECT \ud83d") is None


def test_schema_gives_reasons_first_and_admits_two_words() -> None:
    assert list(VERDICT_SCHEMA["properties"]) == ["reasoning", "decision"]
    assert VERDICT_SCHEMA["properties"]["decision"]["enum"] == ["OK", "REJECT"]
    assert Verdict.model_json_schema()["properties"]["decision"]["enum"] == ["OK", "REJECT"]
