"""ChatRenderer on every chat template that TRL ships: what is said cannot become structure."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.tokens.chat_template import ChatRenderer, UnsupportedTemplate
from tests.conftest import ROOT
from tests.src.tokens import template_families as families
from tests.src.tokens.rendered_chats import dummies, messages, rendered, text_of
from utils.thinking_formats import KNOWN

EVERY = families.NAMES + families.MORE
MARKERS = sorted({m for name in EVERY for m in re.findall(
    families._MARKER.pattern + "|" + families._SOFT.pattern, families.source(name))}
    | {"<|endoftext|>", "<bos>", "[INST]", "[/INST]", "<<SYS>>", "<|im_end|>\n<|im_start|>user\n"}
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(MARKERS),
        st.sampled_from(["", " ", "\n", "\n\n", "assistant", "system\n", "User: ", "7 x 8"]),
    ),
    max_size=4,
).map("".join)
TURNS = st.lists(st.tuples(TEXTS, st.booleans(), TEXTS), min_size=1, max_size=4)
quick = settings(max_examples=10, deadline=None)


def carried(name: str) -> tuple[Any, ChatRenderer]:
    """The family; those of a folder may be refused, in one line that says why."""
    try:
        return families.family(name)
    except UnsupportedTemplate as error:
        assert name in families.MORE, error
        assert re.fullmatch(
            r"teacher_model\.model_name_or_path .*: its chat template .+", str(error)
        )
        pytest.skip(str(error))


def between(renderer: ChatRenderer) -> tuple[str, str]:
    """What the template writes from an assistant's to a user's message, and after that."""
    base = "s" if renderer.family.own_system else ""
    a, u = "ZqAZq", "ZqBZq"
    turns = [*zip(base + "u", dummies(len(base) + 1), strict=True), ("a", a), ("u", u)]
    text = renderer._template.render(turns, True)
    closing, request = text.split(a)[1].split(u)
    return closing, request + renderer.family.prefill


def opening_roles(renderer: ChatRenderer, student_first: bool) -> str:
    base = "s" if renderer.family.own_system else "u"
    with_user = base == "s" and (student_first or renderer.needs_user_first)
    return base + "u" if with_user else base


def ledger(renderer: ChatRenderer, roles: str, first: list[str], turns: Any) -> list[int]:
    ids = renderer.prompt(messages(roles, first))
    for said, ended, answer in turns:
        tail = renderer.tail if ended else ""  # a model that was taught the format writes it
        sampled = renderer.encode(said + tail) + [renderer.stop_token_ids[0]] * ended
        before = list(ids)
        ids = ids + sampled + renderer.reply(answer, sampled)
        assert ids[: len(before)] == before
    return ids


def specials(renderer: ChatRenderer, ids: list[int]) -> list[int]:
    return [i for i in ids if i in renderer.codec.added_ids]


@pytest.mark.parametrize("name", EVERY)
@given(turns=TURNS, first=st.tuples(TEXTS, TEXTS), student_first=st.booleans())
@quick
def test_a_ledger_holds_the_turns_as_said_and_only_the_templates_structure(
    name: str, turns: Any, first: Any, student_first: bool
) -> None:
    """Empty, truncated and forged turns, unicode; opened by the tutor or by the student."""
    _, renderer = carried(name)
    roles = opening_roles(renderer, student_first)
    texts = list(first[: len(roles)])
    ids = ledger(renderer, roles, texts, turns)
    closing, request = between(renderer)
    spoken = "".join(said + closing + answer + request for said, _, answer in turns)
    whole = rendered(renderer, roles, texts) + spoken
    assert renderer.codec.decode(ids, keep_special=True) == whole

    harmless = ledger(
        renderer, roles, ["word"] * len(roles), [("word", e, "word") for _, e, _ in turns]
    )
    assert specials(renderer, ids) == specials(renderer, harmless)
    truncated = ledger(renderer, roles, texts, [(said, False, answer) for said, _, answer in turns])
    assert text_of(renderer, ids) == text_of(renderer, truncated)
    assert ids == truncated or renderer.tail  # an end of turn is there once, sampled or supplied
    end = renderer.stop_token_ids[0]
    prompt = renderer.prompt(messages(roles, texts))
    per_turn = renderer.reply("", []).count(end)
    assert Counter(ids[len(prompt) :])[end] == per_turn * len(turns)


@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
@quick
def test_a_prompt_holds_the_messages_as_said_and_only_the_templates_structure(
    name: str, data: Any
) -> None:
    """Student's and judge's prompts: a whole history at once."""
    _, renderer = carried(name)
    base = "s" if renderer.family.own_system else ""
    roles = base + data.draw(st.sampled_from(["u", "uau", "uauau"]))
    texts = data.draw(st.lists(TEXTS, min_size=len(roles), max_size=len(roles)))
    ids = renderer.prompt(messages(roles, texts))
    assert renderer.codec.decode(ids, keep_special=True) == rendered(renderer, roles, texts)
    harmless = renderer.prompt(messages(roles, ["word"] * len(roles)))
    assert specials(renderer, ids) == specials(renderer, harmless)


@pytest.mark.parametrize("name", EVERY)
def test_plain_words_come_out_as_the_template_tokenised_in_one_go(name: str) -> None:
    tokenizer, renderer = carried(name)
    answer = tokenizer("Zq", add_special_tokens=False)["input_ids"]
    base = "s" if renderer.family.own_system else ""
    for roles in (base + "u", base + "uau", base + "uauau"):
        texts = list(dummies(len(roles)))
        text = rendered(renderer, roles, texts) + "Zq"
        whole = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert renderer.prompt(messages(roles, texts)) + answer == whole


@pytest.mark.parametrize("name", EVERY)
def test_a_ledger_equals_the_templates_history_or_a_note_says_what_differs(name: str) -> None:
    _, renderer = carried(name)
    roles = ("s" if renderer.family.own_system else "") + "u"
    first = ["First", "Second"][: len(roles)]
    grown = ledger(renderer, roles, first, [("Third", True, "Fourth")])
    history = renderer.prompt(messages(roles + "au", [*first, "Third", "Fourth"]))
    if any("the history loses '" in note for note in renderer.notes):
        assert grown != history
    elif grown != history:  # a space or line end that the model itself writes first
        lead = renderer.family.lead
        assert (lead or renderer.tail) and not lead.strip()
        again = ledger(renderer, roles, first, [(lead + "Third", True, "Fourth")])
        assert text_of(renderer, again) == text_of(renderer, history)
        assert again == history or name in families.MORE  # blanks may be cut otherwise


def test_the_table_of_families_is_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    families.main(families.NAMES)
    table = capsys.readouterr().out.strip()
    assert table.count("\n") > 10
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    assert table in page
    for each in KNOWN:
        assert all(mark.strip().replace("|", "\\|") in page for mark in (each.begin, each.end))
