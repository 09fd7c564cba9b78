"""TextCodec on the kinds of vocabularies there are: message text never becomes a marker."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from src.tokens.text_codec import TextCodec
from tests.src.tokens.template_families import byte_level as byte_level_with_merges

END = "<|im_end|>"


class Shell:
    """What TextCodec needs of a transformers tokenizer."""

    def __init__(self, rust: Tokenizer) -> None:
        self.backend_tokenizer = rust


def byte_level(*added: AddedToken) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    rust = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    rust.add_tokens(list(added))
    return rust


def marked(rust: Tokenizer) -> tuple[TextCodec, int]:
    rust.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    return TextCodec(Shell(rust)), rust.token_to_id(END)


def sentence_pieces(**kind: object) -> Tokenizer:
    """A vocabulary in the manner of SentencePiece, whose words begin with a low line."""
    words = ["<unk>", "\u2581", "\u2581hello", "hello", "h", "e", "l", "o", "\n", *"<|im_nd>x/s"]
    vocabulary = {w: i for i, w in enumerate(dict.fromkeys(words))}
    merges = [("h", "e"), ("he", "l"), ("hel", "l"), ("hell", "o"), ("\u2581", "hello")]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    rust = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    for name, part in kind.items():
        setattr(rust, name, part)
    return rust


def test_specials_and_added_words_are_spelled_out_in_messages_and_parsed_in_markup() -> None:
    think = AddedToken("<think>", special=False, normalized=False)
    codec, end = marked(byte_level(think))
    text = f"a{END}<think>b"
    assert codec.added_ids.isdisjoint(codec.encode(text))
    assert codec.decode(codec.encode(text)) == text
    assert len(codec.markup(text)) == 4 and codec.markup(text)[1] == end
    assert codec.decode(codec.markup(text)) == "a<think>b"
    assert codec.decode(codec.markup(text), keep_special=True) == text


def test_runs_of_white_space_stay_single_tokens_of_their_own_ids() -> None:
    rust = byte_level(*(AddedToken(t, normalized=False) for t in ("<a>", "\n\n", "<b>", "   ")))
    codec, _ = marked(rust)
    text = "a\n\nb   <a><b>"
    ids = codec.encode(text)
    assert [ids[1], ids[3]] == [rust.token_to_id("\n\n"), rust.token_to_id("   ")]
    assert codec.decode(ids) == text
    assert len(codec.added_ids) == 3 and codec.added_ids.isdisjoint(ids)


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_survives(text: str) -> None:
    assert CODEC.decode(CODEC.encode(text)) == text


CODEC, _ = marked(byte_level())


def test_half_a_surrogate_pair_is_replaced_not_fatal() -> None:
    assert CODEC.decode(CODEC.encode("a\ud83db")) == "a\ufffdb"
    assert CODEC.decode(CODEC.encode("\ud83d\ude00")) == "\U0001f600"


def test_a_vocabulary_that_holds_its_marker_as_a_word_too_is_outwitted() -> None:
    words = [("<unk>", -20.0), (END, 0.0), ("</s>", 0.0), *((c, -5.0) for c in "<|im_end>/s ax")]
    rust = Tokenizer(models.Unigram(list(dict(words).items()), unk_id=0, byte_fallback=False))
    rust.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (END, "</s>")])
    codec = TextCodec(Shell(rust))
    text = f"a{END}x</s>{END}"
    assert codec.added_ids.isdisjoint(codec.encode(text))
    assert [rust.id_to_token(i) for i in codec.encode(text)] == list(text)


def test_a_word_level_vocabulary_is_outwitted() -> None:
    words = ["<unk>", "hello", END]
    vocabulary = {w: i for i, w in enumerate(words)}
    rust = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    rust.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    rust.add_special_tokens(["<unk>", END])
    codec = TextCodec(Shell(rust))
    assert codec.encode(f"hello {END} hello")[0] == 1
    assert vocabulary[END] not in codec.encode(f"hello {END} hello")


def test_a_marker_of_one_character_that_nothing_else_spells_is_refused() -> None:
    rust = Tokenizer(models.WordLevel({"<unk>": 0, "#": 1}, unk_token="<unk>"))
    rust.add_special_tokens(["<unk>", "#"])
    with pytest.raises(ValueError, match="only as a marker"):
        TextCodec(Shell(rust))


def test_no_fast_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="no fast tokenizer"):
        TextCodec(object())


METASPACE = {
    scheme: {"pre_tokenizer": pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)}
    for scheme in ("always", "first")
}
PREPEND = {
    "normalizer": normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
}


@pytest.mark.parametrize("kind", [METASPACE["always"], METASPACE["first"], PREPEND])
def test_the_mark_of_a_first_word_is_left_out_within_a_line(kind: dict[str, object]) -> None:
    rust = sentence_pieces(**kind)
    codec, end = marked(rust)
    tokens = [rust.id_to_token(i) for i in codec.encode("hello")]
    assert tokens == ["hello"]
    whole = rust.encode(f"{END}\nhello", add_special_tokens=False).tokens[-1]
    assert whole == "hello"  # as in one go
    first = [rust.id_to_token(i) for i in codec.encode("hello", continues=False)]
    assert first == rust.encode(f"{END}hello", add_special_tokens=False).tokens[1:]
    assert codec.markup(f"{END}\n", after=True)[0] == end


@pytest.mark.parametrize("kind", [METASPACE["always"], METASPACE["first"], PREPEND])
def test_markup_after_a_message_has_no_mark_of_a_first_word(kind: dict[str, object]) -> None:
    rust = sentence_pieces(**kind)
    codec, _ = marked(rust)
    assert [rust.id_to_token(i) for i in codec.markup("hello", after=True)] == ["hello"]
    assert rust.id_to_token(codec.markup("hello")[0]) == "\u2581hello"


def test_markup_is_cut_as_it_will_be_beside_a_message() -> None:
    """GPT-2's rule leaves the last line end to the word that follows."""
    rust = Tokenizer.from_str(byte_level_with_merges())
    codec, end = marked(rust)
    line = rust.token_to_id("\u010a")
    double = rust.token_to_id("\u010a\u010a")
    assert codec.markup(f"{END}\n\n") == (end, double)
    assert codec.markup(f"{END}\n\n", before=True) == (end, line, line)


def test_added_prefix_space_is_for_the_first_word_of_a_line_only() -> None:
    rust = byte_level()
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    codec, _ = marked(rust)
    assert codec.decode(codec.encode("hi")) == "hi"
    assert codec.decode(codec.encode("hi", continues=False)) == " hi"


def test_the_tokenizer_that_was_given_is_left_as_it_was() -> None:
    rust = byte_level()
    rust.add_special_tokens([END])
    before = rust.to_str()
    codec = TextCodec(Shell(rust))
    codec.encode(END)
    assert rust.to_str() == before and rust.encode_special_tokens is False
