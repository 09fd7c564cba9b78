"""What a template or a tokenizer declares as thinking is hidden, or the model is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import AddedToken

from src.tokens.chat_template import ChatRenderer, UnsupportedTemplate
from tests.src.tokens import template_families as families

NAME = "student_model.model_name_or_path"
SECRET, QUESTION = "The answer is 56.", "What is 7 x 8?"


def template(
    thought: str = "", *, opens: str = "", header: str = "<|im_start|>assistant\n", end: str = ""
) -> str:
    """ChatML, whose assistant's turns begin with `thought`, a piece of Jinja."""
    return (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        f"{{{{ '{header}' }}}}{thought}{{{{ m.content + '{end}<|im_end|>\n' }}}}"
        "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}"
        f"{{% endfor %}}{{% if add_generation_prompt %}}{{{{ '{header}{opens}' }}}}{{% endif %}}"
    )


def field(begin: str, end: str, name: str = "reasoning_content") -> str:
    return f"{{% if m.{name} %}}{{{{ '{begin}' + m.{name} + '{end}' }}}}{{% endif %}}"


def renderer(source: str, *tokens: str) -> ChatRenderer:
    made = families.tokenizer(source)
    made.add_tokens([AddedToken(t, special=True, normalized=False) for t in tokens], True)
    return ChatRenderer(made, model_name=NAME)


def sampled_text(own: ChatRenderer, text: str) -> str:
    """The text of a turn whose markers were sampled as tokens, decoded as engines do it."""
    return own.decode([*own.markup(text), own.stop_token_ids[0]])


FIELDS = {
    "reasoning_content": ("<|ponder|>", "<|/ponder|>"),
    "reasoning": ("<my:plan>\n", "\n</my:plan>\n\n"),
    "thinking": ("[[PLAN]]", "[[SAY]]"),
    "thought": ("<|plan_start|>", "<|plan_end|><|say_start|>"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_format_that_nobody_told_us_of_is_read_off_the_template(name: str) -> None:
    begin, end = FIELDS[name]
    own = renderer(template(field(begin, end, name)), "<|ponder|>", "<|/ponder|>")
    said = sampled_text(own, f"{begin}{SECRET}{end}{QUESTION}")
    assert SECRET in said
    assert own.thinking.visible(said) == QUESTION
    assert own.thinking.visible(f"{begin.strip()} {SECRET}") == ""
    assert own.thinking.visible(f"<think>{SECRET}</think>{QUESTION}") == QUESTION
    assert any("hidden from the others" in note for note in own.notes)


def test_thoughts_as_parts_of_a_content() -> None:
    thought = (
        "{% if m.content is not string %}"
        "{% for b in m.content %}{{ '<|hm|>' + b.thinking + '<|/hm|>' if b.type == 'thinking' }}"
        "{% endfor %}{% set m = {'content': m.content[-1].text} %}{% endif %}"
    )
    own = renderer(template(thought))
    assert own.thinking.visible(f"<|hm|>{SECRET}<|/hm|>{QUESTION}") == QUESTION


@pytest.mark.parametrize(("begin", "end"), [("", "\n\n"), ("Plan: ", "\n"), ("", "<|answer|>")])
def test_thinking_that_cannot_be_told_from_the_answer_is_refused(begin: str, end: str) -> None:
    with pytest.raises(UnsupportedTemplate, match=r"^student_model.*cannot be told from the answ"):
        renderer(template(field(begin, end)))


def test_a_template_that_takes_thoughts_and_shows_none_declares_nothing() -> None:
    own = renderer(template("{% if m.reasoning_content %}{% endif %}"))
    assert len(own.thinking.formats) == 1 and own.notes == []


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("<|ponder|>", "<|/ponder|>"),
        ("<|reasoning_start|>", "<|reasoning_end|>"),
        ("<|begin_reasoning|>", "<|end_reasoning|>"),
        ("<|START_REFLECTION|>", "<|END_REFLECTION|>"),
        ("<|reason>", "<reason|>"),
        ("[SCRATCHPAD]", "[/SCRATCHPAD]"),
    ],
)
def test_tokens_that_speak_of_thinking_are_a_format(begin: str, end: str) -> None:
    own = renderer(families.source("qwen2_5"), begin, end)
    said = sampled_text(own, f"{begin}{SECRET}{end}{QUESTION}")
    assert begin in said, "the marks of thinking are not dropped with the special tokens"
    assert own.thinking.visible(said) == QUESTION


def test_a_token_that_opens_thinking_for_good_refuses_the_model() -> None:
    with pytest.raises(UnsupportedTemplate, match=r"its chat template goes with .*<\|ponder\|>"):
        renderer(families.source("qwen2_5"), "<|ponder|>")


@pytest.mark.parametrize("token", ["/nothink", "<|image|>", "<|im_thin|>", "thinking"])
def test_other_tokens_refuse_nothing(token: str) -> None:
    assert len(renderer(families.source("qwen2_5"), token).thinking.formats) == 1


def test_a_switch_beside_a_known_format_refuses_nothing() -> None:
    own = renderer(families.source("qwen3"), "<|think_fast|>")
    assert own.thinking.visible(f"<think>{SECRET}</think>{QUESTION}") == QUESTION


def test_known_formats_by_a_token_alone() -> None:
    """A template that says nothing of thoughts; the tokenizer has Mistral's markers."""
    own = renderer(families.source("qwen2_5"), "[THINK]", "[/THINK]")
    said = sampled_text(own, f"[THINK]{SECRET}[/THINK]{QUESTION}")
    assert own.thinking.visible(said) == QUESTION


def test_a_turn_that_begins_inside_any_thinking_is_opened_there() -> None:
    thought = field("<|START_THINKING|>", "<|END_THINKING|><|START_TEXT|>")
    source = template(thought, opens="<|START_THINKING|>", end="<|END_TEXT|>")
    own = renderer(source)
    assert own.opening == "<|START_THINKING|>"
    assert own.thought_end == "<|END_THINKING|><|START_TEXT|>"
    assert any("begins inside '<|START_THINKING|>'" in note for note in own.notes)
    said = f"{own.opening}{SECRET}{own.thought_end}{QUESTION}<|END_TEXT|>"
    assert own.thinking.visible(said) == QUESTION
    assert own.thinking.visible(own.opening + SECRET) == ""


def test_words_open_a_turn_too() -> None:
    own = renderer(
        template(opens="Here are my reasoning steps:\\n") + "{# [BEGIN FINAL RESPONSE] #}"
    )
    assert own.opening == "Here are my reasoning steps:\n"
    assert own.thought_end == "[BEGIN FINAL RESPONSE]\n\n"


def test_a_turn_that_would_end_with_its_thinking_is_refused() -> None:
    source = template(field("<|hm|>", "<|im_end|><|say|>"))
    with pytest.raises(UnsupportedTemplate, match=r"ends a thought by <\|im_end\|>"):
        renderer(source)


def test_a_template_that_is_led_past_its_thinking_is_not() -> None:
    """In the manner of gpt-oss: the history always writes the answer's own channel."""
    source = template(field("<|hm|>", "<|im_end|><|say|>") + "{{ '<|say|>' }}")
    own = renderer(source)
    assert own.family.prefill == "<|say|>" and own.opening == ""


def moved_system(user: str = "[INST] ") -> str:
    """In the manner of the early Mistral templates."""
    return (
        "{% set told = messages[0].content if messages[0].role == 'system' %}"
        "{{ bos_token }}{% for m in messages if m.role != 'system' %}"
        "{% if m.role == 'user' %}{% if loop.last and told %}"
        f"{{{{ '{user}' + told + '\n\n' + m.content + '[/INST]' }}}}"
        f"{{% else %}}{{{{ '{user}' + m.content + '[/INST]' }}}}{{% endif %}}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
    )


@pytest.mark.parametrize("user", ["[INST] ", "[INST]"])
def test_a_system_text_that_would_move_with_the_last_user_begins_the_first(user: str) -> None:
    own = renderer(moved_system(user))
    messages: list[Any] = [
        {"role": "system", "content": "Teach."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
    text = own.codec.decode(own.prompt(messages), keep_special=True)
    assert text == (f"<bos>{user}Teach.\n\nOne[/INST] Two<|endoftext|>{user}Three[/INST]")
    assert any("before the last user message" in note for note in own.notes)
    grown = own.prompt(messages[:2])
    said = [*own.encode(" Two"), own.stop_token_ids[0]]
    assert own.codec.decode(grown + said + own.reply("Three", said), keep_special=True) == text


@pytest.mark.parametrize(
    ("opens", "history", "lost"),
    [
        ("<|START_THINKING|>", "<|START_TEXT|>", "<|START_THINKING|>"),
        ("<think></think>", "</think>", "<think></think>"),
        ("[THINK]", "[TEXT]", "[THINK]"),
    ],
)
def test_notes_cut_no_marker_in_two(opens: str, history: str, lost: str) -> None:
    own = renderer(template(f"{{{{ '{history}' }}}}", opens=opens))
    assert f"the history loses {lost!r}, which opened the turn; the ledger keeps it" in own.notes


def test_a_history_that_keeps_only_its_last_thought_is_said() -> None:
    thought = (
        "{% set last = loop.revindex <= 2 %}"
        "{% if '</think>' in m.content and not last %}"
        "{% set m = {'content': m.content.split('</think>')[-1]} %}{% endif %}"
    )
    own = renderer(template(thought))
    assert not own.family.keeps_thinking
    assert any("loses what was thought earlier" in note for note in own.notes)


def test_words_before_the_end_of_a_turn_are_said() -> None:
    own = renderer(template(end="\\n"))
    assert own.tail == "\n"
    assert any("the history ends a turn with '\\n'" in note for note in own.notes)


def test_thinking_that_opens_every_turn_is_switched_off_where_there_is_a_switch() -> None:
    opens = "' + ('<|hm|>' if reasoning is not defined or reasoning else '<|hm|><|/hm|>') + '"
    source = template(field("<|hm|>", "<|/hm|>"), opens=opens)
    off = renderer(source)
    assert off.opening == "" and off.codec.decode(off.reply("x", []), keep_special=True).endswith(
        "assistant\n<|hm|><|/hm|>"
    )
    asked = {"reasoning": True}
    on = ChatRenderer(families.tokenizer(source), model_name=NAME, chat_template_kwargs=asked)
    assert on.opening == "<|hm|>" and any("there is no switch" in note for note in on.notes)
