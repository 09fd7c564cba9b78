"""How a model thinks, by what its chat template and its tokenizer declare.

Three witnesses: markers that are known (utils/thinking_formats.py) in the template or among the
tokens; what the template writes around a thought that it is given; and tokens whose names speak
of thinking.  A thought that could not be told from the answer refuses the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from src.tokens.template import Refused, Template
from utils.thinking import Thinking
from utils.thinking_formats import AROUND_ANSWERS, KNOWN, TAGS, ThinkingFormat

_THOUGHT, _ANSWER = "Kq7thoughtKq7", "Kq7answerKq7"
_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "thoughts")
_SWITCHES = {"enable_thinking": True, "thinking": True, "reasoning": True}
_SPEAKS = re.compile(
    r"think|thought|reason|ponder|reflect|scratch_?pad|monologue|deliberat|(?<![a-z])cot(?![a-z])",
    re.IGNORECASE,
)
_HALVES = (("start", "end"), ("begin", "end"), ("open", "close"), ("prefix", "suffix"),
           ("bo", "eo"))  # fmt: skip


class Written(NamedTuple):
    """What a template writes before a thought, beyond what it writes before a plain answer, and
    between the thought and the answer."""

    before: str
    between: str


class DeclaredThinking(NamedTuple):
    """thinking: what the model's text hides.  between: what its template writes between a thought
    and the answer; empty where it takes no thoughts."""

    thinking: Thinking
    between: str


def declared_thinking(template: Template, source: str, tokens: Iterable[str]) -> DeclaredThinking:
    """What the model's text has to hide; raises Refused where that cannot be told."""
    tokens = list(tokens)
    written = list(dict.fromkeys(_written_thoughts(template)))
    shown = [f"{w.before}{_THOUGHT}{w.between}{_ANSWER}" for w in written]
    evidence = "\n".join([source, *tokens, *shown])
    formats = [each for each in KNOWN if each.declared_in(evidence)]
    around = [marker for marker in AROUND_ANSWERS if marker in evidence]
    for each, text in zip(written, shown, strict=True):
        if not _hides(Thinking(formats, around), text):
            formats.append(_literal(each))
    formats += _named_by_tokens(tokens, formats)
    thinking = Thinking(formats, around)
    for text in shown:
        if not _hides(thinking, text):
            raise Refused(f"writes thinking that cannot be told from the answer: {text!r}")
    return DeclaredThinking(thinking, written[0].between if written else "")


def _hides(thinking: Thinking, text: str) -> bool:
    return thinking.visible(text) == _ANSWER


def _written_thoughts(template: Template) -> Iterator[Written]:
    """Give the template a thought, in each of the fields that templates read."""
    for field in (*_FIELDS, "part"):
        for options in ({}, _SWITCHES):
            with suppress(Refused):
                plain = template.assistant_turn({"content": _ANSWER}, options)
                turn = template.assistant_turn(_with_thought(field), options)
                before, found, rest = turn.partition(_THOUGHT)
                between, answered, _ = rest.partition(_ANSWER)
                as_data = re.search(r"[\"']type[\"']", turn)  # it printed what it does not know
                if found and answered and _THOUGHT not in between and not as_data:
                    usual = plain.partition(_ANSWER)[0]
                    yield Written(template.beyond(before, usual), between)


def _with_thought(field: str) -> dict[str, object]:
    if field == "part":
        parts = [
            {"type": "thinking", "thinking": _THOUGHT},
            {"type": "text", "text": _ANSWER},
        ]
        return {"content": parts}
    return {"content": _ANSWER, field: _THOUGHT}


def _literal(written: Written) -> ThinkingFormat:
    """A format that nobody told us of, as the template writes it."""
    begin, end = written.before.strip(), written.between.strip()
    if not begin or not end:
        raise Refused(
            "writes thinking that cannot be told from the answer: "
            f"it puts {written.before!r} before it and {written.between!r} after it"
        )
    return ThinkingFormat(begin, end, _spaced(begin), _spaced(end), nests=False)


def _spaced(text: str) -> str:
    """A regular expression for the text, however its words are spaced."""
    return r"\s+".join(re.escape(word) for word in text.split())


def _named_by_tokens(
    tokens: Iterable[str], formats: Iterable[ThinkingFormat]
) -> list[ThinkingFormat]:
    """Pairs of tokens whose names speak of thinking; raises Refused for one without the other."""
    covered = [TAGS, *formats]
    speaking = {t for t in tokens if _SPEAKS.search(t) and re.fullmatch(r"[^\w\s/].*\W", t)}
    unknown = {t for t in speaking if not any(each.declared_in(t) for each in covered)}
    unknown = {t for t in unknown if not any(t in each.begin + each.end for each in covered)}
    pairs = [
        (begin, end) for begin in sorted(unknown) for end in _partners(begin) if end in unknown
    ]
    alone = unknown - {token for pair in pairs for token in pair}
    # beside a known format, a token of its own is a switch, as <|think|> is for Gemma 4
    if alone and len(covered) == 1 and not TAGS.declared_in("\n".join(speaking)):
        raise Refused(
            f"goes with tokens that speak of thinking, {', '.join(sorted(alone))}, and with none "
            "that would end it: its thinking could not be hidden"
        )
    return [ThinkingFormat(begin, end) for begin, end in pairs]


def _partners(begin: str) -> Iterator[str]:
    """What the token that closes this one may be called."""
    lead, name = re.fullmatch(r"(\W*)(.*)", begin, re.DOTALL).groups()  # type: ignore[union-attr]
    yield f"{lead}/{name}"
    if begin.startswith("<|") and not begin.endswith("|>"):
        yield f"<{begin[2:-1]}|>"
    for first, second in _HALVES:
        for a, b in ((first, second), (first.upper(), second.upper())):
            for old in re.finditer(rf"(?<![A-Za-z]){a}", begin):
                yield begin[: old.start()] + b + begin[old.end() :]
