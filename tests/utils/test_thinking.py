"""Hidden text stays hidden, however its tags are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.thinking import hide_thinking, says_the_end, thinking_is_well_formed, visible_text


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
        assert "SECRET" not in hide_thinking("".join(parts))


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("<think>plan</think>words", True),
        ("\n<think>\nplan\n</think>\n\nwords", True),
        ("<think></think>words", False),
        ("<think>plan</think>", False),
        ("<think>plan", False),
        ("plan</think>words", False),
        ("words <think>plan</think> words", False),
        ("<think>a</think>b<think>c</think>d", False),
        ("<think>a<think>b</think>c</think>d", False),
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
