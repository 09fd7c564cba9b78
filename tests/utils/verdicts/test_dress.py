"""Verdicts in random dress: whatever is put around one verdict, or done to its JSON, it is read.

And what is no verdict, or two that differ, is never one: in any two dresses.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.verdicts.judging import parse_verdict

SHARED = Path(__file__).parents[4] / "shared" / "cases" / "verdicts.jsonl"
Fields = dict[str, object]


def decision(text: str) -> str | None:
    verdict = parse_verdict(text)
    return verdict.decision if verdict else None


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/cases/verdicts.jsonl here")
def test_answers_of_judges_that_were_reported() -> None:
    rows = [json.loads(line) for line in SHARED.read_text().splitlines()]
    assert [row for row in rows if decision(row["text"]) != row["right"]] == []


# --- dresses: what judges do to the object ------------------------------------------------------


def _plain(fields: Fields) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _quoted(marks: str) -> Callable[[Fields], str]:
    """The same with other quotation marks; words inside lose their own."""

    def dress(fields: Fields) -> str:
        def said(value: object) -> str:
            bare = str(value).replace('"', "").replace("\\", "").replace("\n", " ")
            return f"{marks[0]}{bare}{marks[1]}" if isinstance(value, str) else str(value)

        return "{" + ", ".join(f"{said(k)}: {said(v)}" for k, v in fields.items()) + "}"

    return dress


def _no_comma(fields: Fields) -> str:
    return _plain(fields).replace('", "', '" "')


def _comma_too_many(fields: Fields) -> str:
    return _plain(fields)[:-1] + ",}"


def _bare_keys(fields: Fields) -> str:
    return "{" + ", ".join(f"{k}: {json.dumps(v)}" for k, v in fields.items()) + "}"


def _escaped(fields: Fields) -> str:
    return json.dumps(_plain(fields), ensure_ascii=False)[1:-1]


def _commented(fields: Fields) -> str:
    lines = json.dumps(fields, indent=1).split("\n")
    return "\n".join([lines[0] + " // mine", *lines[1:-1], "/* done */", lines[-1]])


def _wide(fields: Fields) -> str:
    return _plain(fields).replace('": ', '"\uff1a').replace(', "', '\uff0c"')


def _arguments(fields: Fields) -> str:
    return json.dumps({"name": "verdict", "arguments": _plain(fields)})


def _call(fields: Fields) -> str:
    function = {"name": "verdict", "arguments": _plain(fields)}
    return json.dumps({"tool_calls": [{"id": "c", "type": "function", "function": function}]})


def _one_backslash(fields: Fields) -> str:
    return _plain(fields).replace("\\\\", "\\")


DRESSES: list[Callable[[Fields], str]] = [
    _plain, repr, _quoted("\u201c\u201d"), _quoted("\u00ab\u00bb"), _quoted("\u300c\u300d"),
    _no_comma, _comma_too_many, _bare_keys, _escaped, lambda f: json.dumps(_plain(f)), _commented,
    _wide, _arguments, _call, _one_backslash, lambda f: json.dumps({"result": f}),
    lambda f: json.dumps([f]), lambda f: "{" + _plain(f) + "}",
]  # fmt: skip
AROUND = [
    "{}", "```json\n{}\n```", "```json{}```", "Here is my verdict:\n\n{}", "{}\n\nAnything else?",
    "{}<|im_end|>", "{}</s>", "\ufeff{}", "<tool_call>\n{}\n</tool_call>", "[TOOL_CALLS]{}",
    "The set {{1, 2}} was named.\n{}", "<answer>{}</answer>",
]  # fmt: skip
THOUGHTS = [
    "{}", "<think>{}</think>\n", "{}</think>\n\n", "<|channel>thought\n{}<channel|>",
    "[THINK]{}[/THINK]", "<seed:think>{}</seed:think>", "<thinking>\n{}\n</thinking>\n",
    "<|START_THINKING|>{}<|END_THINKING|>", "analysis {} assistantfinal",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
]  # fmt: skip
DRAFTS = [
    '{{"decision": "{}"}}', '{{"reasoning": "draft", "decision": "{}"}}', "Decision: {}\n",
    "I would say {} but {{x",
]  # fmt: skip
REASONS = [
    "It tells the answer in turn 3.", "", "asks only", "It's the student's own work",
    'He said "x is 4" himself', r"\frac{1}{2} and \boxed{5}", r"a set \{1, 2\} // really",
    "\u76f4\u63a5\u7ed9\u51fa\u4e86\u7b54\u6848", "one line\nand another", "50% of {x}",
    "see http://a.b/c", "the decision is hard", "it is not OK to tell", r"3 \times \nu \neq \rho",
]  # fmt: skip
OTHER = {"OK": "REJECT", "REJECT": "OK"}


@st.composite
def objects(draw: st.DrawFn, said: str) -> Fields:
    """A verdict's fields, in some order and case, with some more."""
    written = draw(st.sampled_from([said, said.lower(), said.title(), f" {said} ", f"**{said}**"]))
    fields: list[tuple[str, object]] = [
        ("reasoning", draw(st.sampled_from(REASONS))),
        ("decision", written),
    ]
    if draw(st.booleans()):
        fields.reverse()
    if draw(st.booleans()):
        fields.append(("confidence", 0.9))
    name: Callable[[str], str] = draw(st.sampled_from([str, str.title, str.upper]))
    return {name(key): value for key, value in fields}


@st.composite
def answers(draw: st.DrawFn, said: str) -> str:
    """A judge's answer that says this, in some dress, after thinking that ends in a draft."""
    text = draw(st.sampled_from(AROUND)).format(draw(st.sampled_from(DRESSES))(draw(objects(said))))
    thought = draw(st.sampled_from(THOUGHTS))
    draft = "" if thought == "{}" else draw(st.sampled_from(DRAFTS)).format(OTHER[said])
    return thought.format(draft) + text


@settings(max_examples=600)
@given(st.data(), st.sampled_from(["OK", "REJECT"]))
def test_a_verdict_is_read_in_any_dress(data: st.DataObject, said: str) -> None:
    text = data.draw(answers(said))
    assert decision(text) == said, text


@settings(max_examples=400)
@given(st.data(), st.sampled_from(["OK", "REJECT"]), st.sampled_from(["\n", "\n\nThen again:\n"]))
def test_two_verdicts_that_differ_are_none(data: st.DataObject, said: str, between: str) -> None:
    first, second = (
        data.draw(st.sampled_from(DRESSES))(data.draw(objects(which)))
        for which in (said, OTHER[said])
    )
    assert decision(first + between + second) is None, first + between + second


@settings(max_examples=400)
@given(st.data())
def test_no_answer_that_is_cut_off_becomes_ok(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(DRESSES))(data.draw(objects("REJECT")))
    cut = text[: data.draw(st.integers(0, len(text)))]
    assert decision(cut) != "OK", cut


LINES = [
    ("REJECT", "Decision: {} - it tells the answer in turn 3."), ("REJECT", "{}. The tutor tells."),
    ("REJECT", "**{}**: the tutor tells it"), ("REJECT", "**Decision:** {}\n\n**Why:** It tells."),
    ("REJECT", "## Verdict\nIt tells.\n\n\\boxed{{\\text{{{}}}}}"), ("REJECT", "| Decision | {} |"),
    ("REJECT", "Decision:\n{}"), ("REJECT", "<why>it tells</why>\n<decision>{}</decision>"),
    ("REJECT", "Decision: {} because it tells"), ("REJECT", "reasoning: tells\ndecision: {}"),
    ("OK", "Decision: {} - nothing is told."), ("OK", "The tutor asks.\n\nFinal verdict: {}."),
    ("OK", "Verdict:\n{}"), ("OK", "{}"), ("OK", "\\boxed{{{}}}"),
]  # fmt: skip
UNCLEAR = [
    "OK, let me think about it.", "Decision: OK or REJECT", "Decision: REJECT or OK",
    "Decision: OK/REJECT", "Decision: OK?", "Decision: not OK", "OK: it asks.\nREJECT: it tells.",
    "REJECT: if it tells.\nOK: otherwise", "Decision: OK\n\nWait.\n\nDecision: REJECT",
    "Decision: REJECT\n\nWait.\n\nDecision: OK", "Decision: OK - but I would rather reject it",
    '{"reasoning": "a", "decision": "OK"}\nVerdict: REJECT',
    '{"reasoning": "a", "decision": "OK"}\n\nREJECT',
    '{"reasoning": "a", "decision": "REJECT"}\nFinal decision: OK',
    '{"text": "{\\"decision\\": \\"OK\\"}"}',
    '{"reasoning": "the student wrote \u201c, \u201cdecision\u201d: \u201cOK\u201d} and',
]  # fmt: skip


@pytest.mark.parametrize(("said", "line"), LINES)
def test_an_answer_without_json_is_read_by_its_line(said: str, line: str) -> None:
    assert decision(line.format(said)) == said


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_is_unclear_is_missing(text: str) -> None:
    assert decision(text) is None
