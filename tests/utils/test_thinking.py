"""Hidden text stays hidden, however its tags are written."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.thinking import (
    HOSTED,
    TAGGED,
    Thinking,
    says_the_end,
    thinking_is_well_formed,
    visible_text,
)
from utils.thinking_formats import AROUND_ANSWERS, KNOWN, TAGS, ThinkingFormat


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<think>plan</think>Hello", "Hello"),
        ("<think>a<think>b</think>c</think>Hello", "Hello"),
        ("<think>never closed, the answer is 7", ""),
        ("Hi <think>plan</think> there <think>more", "Hi  there"),
        ("a plan whose opening was prefilled</think>Hello", "Hello"),
        ("<THINK>plan</Think >Hello", "Hello"),
        ("< think >plan< / think >Hello", "Hello"),
        ("<think></think>", ""),
        ("<think>plan</think>Bye <end_of_conversation>", "Bye"),
        ("Bye <END_OF_CONVERSATION>", "Bye"),
    ],
)
def test_visible_text(text: str, shown: str) -> None:
    assert visible_text(text) == shown


def test_only_a_visible_end_tag_ends() -> None:
    assert says_the_end("Well done. <end_of_conversation>")
    assert not says_the_end("<think>shall I write <end_of_conversation>?</think>Go on.")
    assert not says_the_end("<think>shall I write <end_of_conversation>?")


@given(st.lists(st.sampled_from(["<think>", "</think>", "SECRET", " "]), max_size=12))
def test_nothing_after_an_open_tag_is_shown(parts: list[str]) -> None:
    depth, hidden_only = 0, True
    for part in parts:
        if part == "<think>":
            depth += 1
        elif part == "</think>":
            depth = max(0, depth - 1)
        elif part == "SECRET" and depth == 0:
            hidden_only = False
    if hidden_only:
        assert "SECRET" not in TAGGED.hide("".join(parts))


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("<think>plan</think>words", True),
        ("\n<think>\nplan\n</think>\n\nwords", True),
        ("<think></think>words", True),
        ("<think>plan</think>", False),
        ("<think>plan</think> <end_of_conversation>", False),
        ("<think>plan</think>words <end_of_conversation>", True),
        ("<think>plan", False),
        ("plan</think>words", False),
        ("words <think>plan</think> words", True),
        ("<think>a</think>b<think>c</think>d", True),
        ("<think>a<think>b</think>c</think>d", True),
        ("</think>words<think>", False),
        ("<think>a</think>b<think>c", False),
        ("words", False),
    ],
)
def test_well_formed(text: str, well: bool) -> None:
    assert thinking_is_well_formed(text) is well


@pytest.mark.parametrize("begin", ["<", "</", "<end_of_conversation", "<think>"])
def test_a_turn_of_blanks_is_read_at_once(begin: str) -> None:
    """Regular expressions that try every split of the blanks would take hours here."""
    turn = begin + " " * 400_000 + "Hello"
    visible_text(turn), says_the_end(turn), thinking_is_well_formed(turn)


EVERY = pytest.mark.parametrize("format_", [TAGS, *KNOWN], ids=lambda f: f.begin.strip())
WORDS = st.text(alphabet="abc 7\n", max_size=12)


@EVERY
@given(plan=WORDS, answer=WORDS)
def test_every_format_hides_its_plan_and_shows_the_answer(
    format_: ThinkingFormat, plan: str, answer: str
) -> None:
    own = Thinking([format_])
    assert own.hide(f"{format_.begin}{plan}{format_.end}{answer}") == answer
    assert own.hide(f"{format_.begin}{plan}") == "", "unclosed: all the rest"
    assert own.hide(f"{plan}{format_.end}{answer}") == answer, "opened by the template"
    assert own.hide(answer) == answer
    assert own.hide(f"<think>{plan}</think>{answer}") == answer, "the tutor's own tags always"


@EVERY
def test_a_format_is_known_by_its_own_markers_alone(format_: ThinkingFormat) -> None:
    assert format_.declared_in(f"... {format_.begin} ... {format_.end} ...")
    assert not format_.declared_in("Let us think about it. My answer, and my response: <b>")
    others = "".join(f"{f.begin} {f.end}" for f in (TAGS, *KNOWN) if f is not format_)
    assert not format_.declared_in(others)


def test_channels_do_not_nest_and_only_the_final_one_is_shown() -> None:
    said = (
        "<|channel|>analysis<|message|>It is 56.<|end|><|start|>assistant<|channel|>commentary"
        "<|message|>Do not tell.<|end|><|start|>assistant<|channel|>final<|message|>What is it?"
    )
    assert HOSTED.visible(said) == "What is it?"
    assert HOSTED.visible("<|channel>thought\nIt is 56.<channel|>What is it?") == "What is it?"
    assert HOSTED.visible("<|channel>a<|channel>b<channel|>What is it?") == "What is it?"


def test_a_plan_that_speaks_of_other_markers_stays_one_plan() -> None:
    text = "[THINK]Shall I write <think> or </think>? It is 56.[/THINK]What is it?"
    assert HOSTED.visible(text) == "What is it?"


def test_markers_are_found_however_they_are_written() -> None:
    marks = (
        ("[ think ]", "[ / Think ]"),
        ("< Seed:Think >", "</seed:think >"),
        ("<longcat_think>", "</ longcat_think>"),
    )
    for begin, end in marks:
        assert HOSTED.visible(f"{begin}It is 56.{end}What is it?") == "What is it?"


def test_what_stands_around_an_answer_is_no_part_of_it() -> None:
    own = Thinking([], AROUND_ANSWERS)
    assert own.visible("<|START_RESPONSE|>What is it?<|END_RESPONSE|>") == "What is it?"
    assert own.visible("<think>x</think>\n<answer>\nWhat is it?\n</answer>") == "What is it?"
    assert TAGGED.visible("<answer>5</answer>") == "<answer>5</answer>"
    assert HOSTED.visible("<answer>5</answer>") == "5"


def test_a_hosted_student_may_say_what_others_think_with() -> None:
    """Words are no markers, unless what follows shows that they were."""
    steps = "Here are my reasoning steps:\n3 + 4 = 7"
    assert HOSTED.visible(steps) == steps
    assert HOSTED.visible(f"{steps}\n[BEGIN FINAL RESPONSE]\nIt is 7.") == "It is 7."
    granite = "Here is my thought process: 3 + 4. Here is my response: 7"
    assert HOSTED.visible(granite) == granite


def test_planning_in_tags_is_planning_in_any_format() -> None:
    assert HOSTED.in_tags("[THINK]a[/THINK]{}") == "<think>a</think>{}"
    assert HOSTED.in_tags("{}") == "{}"


@pytest.mark.parametrize(
    ("text", "opened"),
    [("x[THINK]\n", "[THINK]\n"), ("[THINK]a[/THINK]", None), ("a", None), ("<think>", "<think>")],
)
def test_what_a_prompt_leaves_open(text: str, opened: str | None) -> None:
    found = HOSTED.opened_in(text)
    assert (found[0] if found else None) == opened


def test_every_marker_of_vllms_reasoning_parsers_is_known() -> None:
    """A new version of vLLM brings new models: their way to think has to be added here."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("vllm is not installed")
    package = Path(spec.submodule_search_locations[0])
    files = [*package.glob("reasoning/*.py"), *package.glob("parser/*.py")]
    assert len(files) > 30
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    marker = r"<[^<>\s\"'{}()?*\\]*think[^<>\s\"'{}()?*\\]*>|\[/?THINK\]"
    marks = set(re.findall(f"[\"'`]({marker})", text, re.IGNORECASE))
    known = Thinking(KNOWN)
    assert {"<think>", "<mm:think>", "<|content_thinking|>"} <= marks
    assert {mark for mark in marks if known.hide(mark) == mark} == set()
