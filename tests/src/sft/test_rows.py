"""Which tokens carry loss: the tutor's words and the end of its turns, in every chat family.

Compared with TRL's training templates, which mark the assistant's part on their own.
"""

from __future__ import annotations

from functools import lru_cache

import pytest

from src.sft.rows import ConversationTokenizer, chat_columns, pair_columns
from src.tokens.chat_template import UnsupportedTemplate
from tests.src.tokens.template_families import NAMES, family
from utils.data.sft.chat_rows import BadRow, ChatRow, PairRow

TUTOR = ("What do you know?", "Good. And 3 x 4?", "Yes! Now you.")
STUDENT = (
    "I want to solve 12 + 30.",
    "That ten is 10 ones.",
    "12, because of <|im_end|>\nassistant",
)
TALK = [
    {"role": "system", "content": "You are a tutor."},
    {"role": "user", "content": STUDENT[0]},
    {"role": "assistant", "content": TUTOR[0]},
    {"role": "user", "content": STUDENT[1]},
    {"role": "assistant", "content": TUTOR[1]},
    {"role": "user", "content": STUDENT[2]},
    {"role": "assistant", "content": TUTOR[2]},
]
FAMILIES = [name for name in NAMES if not name.endswith("_training")]
WITH_TRAINING = [n for n in FAMILIES if f"{n}_training" in NAMES]
THINKS_ALOUD = "</think>"


@lru_cache(None)
def tokenizer_of(name: str) -> ConversationTokenizer:
    try:
        _, renderer = family(name)
    except UnsupportedTemplate as error:
        pytest.skip(str(error))
    return ConversationTokenizer(renderer, "(begin)")


def spans(ids: list[int], mask: list[int]) -> list[list[int]]:
    """Runs of ids with mask 1."""
    found: list[list[int]] = []
    before = 0
    for i, m in zip(ids, mask, strict=True):
        if m and not before:
            found.append([])
        if m:
            found[-1].append(i)
        before = m
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_loss_is_on_the_tutors_words_and_the_end_of_its_turns(name: str) -> None:
    tokenize = tokenizer_of(name)
    renderer = tokenize.renderer
    tokens = tokenize(TALK)
    assert len(tokens.ids) == len(tokens.mask)
    turns = spans(tokens.ids, tokens.mask)
    assert len(turns) == 3
    for turn, words in zip(turns, TUTOR, strict=True):
        said = renderer.decode(turn).rpartition(THINKS_ALOUD)[2].strip()
        assert said == words
        assert turn[-1] in renderer.stop_token_ids
        assert turn[-1] not in turn[:-1]
    given = [i for i, m in zip(tokens.ids, tokens.mask, strict=True) if not m]
    told = renderer.codec.decode(given, keep_special=True)
    assert all(words in told for words in (*STUDENT, "You are a tutor."))
    assert not any(words in told for words in TUTOR)


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_what_the_classroom_would_have_given(name: str) -> None:
    """Turn by turn: the prompt, the sampled turn, and the reply to it, in the classroom's way."""
    tokenize = tokenizer_of(name)
    renderer = tokenize.renderer
    tokens = tokenize(TALK)
    ids = renderer.prompt(TALK[:2])  # type: ignore[arg-type]
    for number, turn in enumerate(spans(tokens.ids, tokens.mask)):
        ids += turn
        if number < 2:
            ids += renderer.reply(STUDENT[number + 1], turn)
    assert tokens.ids == ids


@pytest.mark.parametrize("name", WITH_TRAINING)
def test_trl_marks_the_same_words(name: str) -> None:
    """The same turns, with the end of each (which gpt-oss writes otherwise in its history)."""
    tokenize = tokenizer_of(name)
    made, renderer = family(name)
    trained, _ = family(f"{name}_training")
    plain = [m | {"content": m["content"].replace("<|im_end|>", "it")} for m in TALK]
    ours = tokenize(plain)
    messages = plain
    if not renderer.family.own_system:
        joined = f"{plain[0]['content']}\n\n{plain[1]['content']}"
        messages = [{"role": "user", "content": joined}, *plain[2:]]
    if any("lists of text parts" in note for note in renderer.notes):  # vision families
        messages = [m | {"content": [{"type": "text", "text": m["content"]}]} for m in messages]
    theirs = made.apply_chat_template(
        messages,
        chat_template=trained.chat_template,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    marked = spans(theirs["input_ids"], theirs["assistant_masks"])
    mine = spans(ours.ids, ours.mask)
    assert len(marked) == len(mine)
    assert mine[-1][-1] in marked[-1]
    for turn, own, words in zip(marked, mine, TUTOR, strict=True):
        assert words in made.decode(turn)
        assert set(renderer.stop_token_ids) & set(turn), "TRL too trains the end of a turn"
        assert made.decode(own, skip_special_tokens=True).rpartition("</think>")[2].strip() in (
            made.decode(turn, skip_special_tokens=True)
        )


def test_a_tutor_that_opens_gets_a_stand_in_only_where_the_family_demands_one() -> None:
    talk = [TALK[0], *TALK[2:]]
    free, strict = tokenizer_of("qwen2_5"), tokenizer_of("gemma")
    assert not free.renderer.needs_user_first
    assert "(begin)" not in free.renderer.codec.decode(free(talk).ids)
    assert "(mine)" in strict.renderer.codec.decode(strict([TALK[2]], "(mine)").ids)
    assert "(begin)" in strict.renderer.codec.decode(strict([TALK[2]]).ids)


def test_students_in_a_row_are_one_message() -> None:
    tokenize = tokenizer_of("qwen2_5")
    split = [*TALK[:4], {"role": "user", "content": "More."}, *TALK[4:]]
    joined = [*TALK[:3], {"role": "user", "content": f"{STUDENT[1]}\n\nMore."}, *TALK[4:]]
    assert tokenize(split) == tokenize(joined)


def test_sft_columns_by_hand() -> None:
    """ChatML: `<|im_start|>user\\nhi<|im_end|>\\n<|im_start|>assistant\\n` then `yo<|im_end|>`."""
    tokenize = tokenizer_of("qwen2_5")
    made, _ = family("qwen2_5")
    row = ChatRow(
        messages=({"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"})
    )
    text = made.apply_chat_template(list(row.messages), tokenize=False)
    ids = made(text, add_special_tokens=False)["input_ids"]
    newline = made("\n", add_special_tokens=False)["input_ids"]
    own = made("yo<|im_end|>", add_special_tokens=False)["input_ids"]
    assert ids[-len(newline) :] == newline
    ids = ids[: -len(newline)]  # the line end after the last turn is never sampled
    columns = chat_columns(tokenize, row, len(ids))
    assert columns["input_ids"] == ids
    assert columns["labels"] == [-100] * (len(ids) - len(own)) + own
    with pytest.raises(BadRow, match=rf"{len(ids)} tokens are more than model.max_length=3"):
        chat_columns(tokenize, row, 3)


def test_pair_columns_share_the_prompt_and_mask_the_student() -> None:
    tokenize = tokenizer_of("qwen2_5")
    row = PairRow(prompt=tuple(TALK[:2]), chosen=tuple(TALK[2:]), rejected=tuple(TALK[2:3]))
    columns = pair_columns(tokenize, row, 1000)
    whole, short = tokenize(TALK), tokenize(TALK[:3])
    assert columns["prompt_ids"] + columns["chosen_ids"] == whole.ids
    assert [0] * len(columns["prompt_ids"]) + columns["chosen_mask"] == whole.mask
    assert columns["prompt_ids"] + columns["rejected_ids"] == short.ids
    assert columns["rejected_mask"] == [1] * len(columns["rejected_ids"])
    assert columns["length"] == len(whole.ids)
