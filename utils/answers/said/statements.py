r"""How a turn says an answer: as a result, as a guess, or as a number on the way to something else.

Goes by the words right around a mention (a span of the text), in English; `=`, `\boxed` and signs
hold in any language.
"""

# ruff: noqa: RUF001  (minus and times signs are this module's subject)

from __future__ import annotations

import re
from collections.abc import Sequence

Span = tuple[int, int]

_NEAR, _NEARER = 160, 64  # characters on either side that are looked at
_OPENING = r"[\s$€£¥*_\"'“(\[{]*(?:\\[(\[]\s*)?"  # may stand between a marker and its number
_FILLER = (
    r"(?:\s+(?:about|actually|already|also|at|exactly|indeed|just|now|only|really|simply|still|then"
    r"|therefore|thus|a|an|the|totals?\s+of|of|equal|to|correct|right|answer|going\s+to\s+be))*"
)
_UNIT = r"(?:\s?(?:\\?%|°|[A-Za-z]{1,15}\b\.?|\([^()]{1,40}\))){0,3}"  # "(first step)", "miles"
_TIMES = r"(?:times|plus|minus|divided|multiplied|over|\\(?:times|cdot|div))"
_OPERATE = r"(?:add|subtract|multipl|divid|doubl|halv|squar)(?:e|y|es|s|ied|ed|ing|ying)?"
_OPERAND_AFTER = re.compile(
    rf"[²³⁴⁵⁶⁷⁸⁹]|:\d|{_UNIT}[ \t]*(?:(?:[+/×·÷^]|\*(?!\*)|-(?=[\d$( ])|−)[ \t]*[\d$(\\]"
    rf"|[+×·÷][ \t]*[a-z]\b|[xX][ \t]*[\d$(]|{_TIMES}\s+[\w$(\\])",
    re.IGNORECASE,
)
_OPERAND_BEFORE = re.compile(
    r"(?:[\d)\]}a-zA-Z%][ \t]*[+/×·÷]|[\d)\]}][ \t]*\*|[\d)\]}][ \t]*[xX]|\d:|\^\s*\{?"
    rf"|[\d)\]}}%][ \t]*{_UNIT}[ \t]*[-−](?=[ \t]|$)|[\d)\]}}][-−]|\\sqrt\s*\{{|√|\b[a-zA-Z]\("
    r"|(?:times|plus|minus|(?:divided|multiplied)\s+by|\\times|\\cdot|\\div))[ \t]*[$(]*$",
    re.IGNORECASE,
)
_VERB_BEFORE = re.compile(  # and whether another number stands between: "subtract 9 from 12"
    rf"\b(?:{_OPERATE}|(?:sum|product|difference|quotient)\s+(?:of|between))"
    r"(?P<other>\s+(?!up\b)[^.;:=?!]{0,40}?(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten"
    r"|[a-z])\b)[^.;:=?!\d]{0,20}?\s(?:and|by|from|to|with))?[ \t]*[$(]*$",
    re.IGNORECASE,
)
_VERB_AFTER = re.compile(
    rf"{_UNIT}\s+(?:and\s+[$(]?(?:\d|one|two|three|four|five|six|seven|eight|nine|ten)"
    r"|(?:by|from|to|with)\s+\w)",
    re.IGNORECASE,
)
_NOTHING = r"[+\-−][ \t]*0(?![\d.])|(?:[*/×·]|x)[ \t]*1(?![\d./])"  # added or multiplied by
_NOTHING_AFTER = re.compile(rf"[ \t]*(?:{_NOTHING})", re.IGNORECASE)
_NOTHING_BEFORE = re.compile(r"(?<![\d.])(?:0[ \t]*\+|1[ \t]*[*×·x])[ \t]*$", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')*]*\s+|\n+|(?<=[a-z)][.!?])(?=[A-Z])")
_CLAUSE = re.compile(r"[,;:—]\s|\bbut\b|\bso\b")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{\s*\$?$")
_NAMED = re.compile(
    r"\b(?:answer|result|solution|totals?|sum|product|quotient|difference|profit)\b"
    rf"(?:\s+(?:of|as)\b{_FILLER}|[^\d=]{{0,80}}?(?:\b(?:is|was|be|becomes|equals|comes\s+to|to)\b"
    rf"{_FILLER}|[:=])){_OPENING}$",
    re.IGNORECASE,
)
_COMPUTED = re.compile(
    r"(?P<left>[^=≈;!?]*)(?:(?P<sign>[=≈])|\b(?:is|are|equals|makes|gives(?:\s+(?:us|you))?)\b)"
    rf"{_FILLER}{_OPENING}$",
    re.IGNORECASE,
)
_SUM = re.compile(rf"[\d)%\]]{_UNIT}\s*(?:[+*/×·÷−xX-]|{_TIMES})[^A-Za-z]*\d", re.IGNORECASE)
_VARIABLE = re.compile(r"(?<![A-Za-z\\'’])(?![aAI](?:\s|$))(?![xX]\s*[\d$(])[A-Za-z](?![A-Za-z'’])")
_COMES_TO = re.compile(r"=|\b(?:is|are|equals|makes|gives)\b", re.IGNORECASE)
_RATHER = re.compile(
    r"[^.;!?\d]{0,40}?\b(?:not|instead\s+of|rather\s+than)\s+(?:just\s+|the\s+|only\s+)?[$€£]?\d",
    re.IGNORECASE,
)
_THE_ANSWER = re.compile(
    r"\W{0,3}(?:\w+\s+){0,3}?(?:is|was|would\s+be|must\s+be)\s+(?:indeed\s+)?(?:the|our)\s+"
    r"(?:\w+\s+)?(?:answer|result|total|solution)\b",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?:['’]s|\b(?:is|are|was|were|be|been|being|becomes?|equals?|means|makes?|making|gives?"
    r"|giving|leaves?|leaving|gets?|getting|got|ha(?:s|ve|d)|results?\s+in|resulting\s+in"
    r"|comes\s+to|earn(?:s|ed)?|needs?(?:\s+to\s+\w+)?|pays?|costs?|spen(?:d|ds|t)|takes?|took"
    rf"|(?:start|end|left)\w*(?:\s+up)?\s+with)){_FILLER}{_OPENING}$",
    re.IGNORECASE,
)
_OPEN = re.compile(  # a condition, a denial, or somebody else's words
    r"\b(?:if|when|where|whether|once|suppose|assuming|unless|never|not|\w+n['’]t|you\s+(?:said|say"
    r"|wrote|got|added|used|multiplied|divided|subtracted))\b",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"\b(?:would|is|does|should|are|was|wo|do|did|ca|could)n['’]t\b|,\s*(?:right|correct|yes)\s*\?",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    rf"\b(?:answer|solution)\b[^\d=]{{0,40}}?(?:\b(?:is|was|be|of)\b{_FILLER}|[:=]){_OPENING}$",
    re.IGNORECASE,
)
_NAMES = re.compile(r"\b(?:answer|solution)\b", re.IGNORECASE)
_ASKING = re.compile(
    r"\W*(?:(?:so|and|but|now)\s+)?(?:do|does|did|is|are|was|why|how|what|where|when|which|if|can"
    r"|could|would|should|have|has)\b",
    re.IGNORECASE,
)
_YOUR = re.compile(r"\b(?:your|his|her|their)\s+(?:\w+\s+)?(?:answer|solution)\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\W{0,3}(?:\w+\s){0,2}?(?:(?:which|that)\s+)?(?:is\s+not|isn['’]t|can(?:not|['’]t)\s+be)\b",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"\b(?:so|therefore|thus|hence|then|means|but|altogether)\b", re.IGNORECASE
)
_NUMBER = re.compile(r"\d|\bnone\b|\bzero\b")


def is_operand(text: str, span: Span) -> bool:
    """Whether a sum still goes on at this number: 10*9*8 and "subtract 9 from 12" do not say 9.

    A sum that changes nothing (9 + 0) says it.
    """
    before = text[max(0, span[0] - _NEARER) : span[0]]
    after = text[span[1] : span[1] + _NEAR]
    if _NOTHING_AFTER.match(after) or _NOTHING_BEFORE.search(before):
        return False
    if _OPERAND_AFTER.match(after) or _OPERAND_BEFORE.search(before):
        return True
    verb = _VERB_BEFORE.search(before)
    return verb is not None and bool(verb["other"] or _VERB_AFTER.match(after))


def equation(text: str, span: Span) -> Span:
    """The sentence around a span, where it says what a sum comes to; else the span itself."""
    before, after = _around(text, span)
    if _COMES_TO.search(before + text[slice(*span)] + after) is None:
        return span
    return span[0] - len(before), span[1] + len(after)


def is_result(text: str, span: Span) -> bool:
    r"""Whether it is said as what comes out, in so many words or by a sum of numbers.

    "the total is 8", "12 - 4 = 8", "\boxed{8}", "8, not 9"; "3x/2 = 8" is a step.
    """
    before, after = _around(text, span)
    if _BOXED.search(before) or _NAMED.search(before):
        return True
    if _RATHER.match(after) or _THE_ANSWER.match(after):
        return True
    computed = _COMPUTED.search(before)
    if computed is None:
        return False
    left = _CLAUSE.split(computed["left"])[-1]
    if computed["sign"] and left.strip() and not _NUMBER.search(left):
        return True  # "x = 8", "boxes = 8"
    return _SUM.search(left) is not None and not _VARIABLE.search(left)


def is_said(text: str, span: Span) -> bool:
    """Whether a sentence says that something is, has, costs, makes ... this, or it is a result."""
    return is_result(text, span) or _SAID.search(_around(text, span)[0]) is not None


def is_open(text: str, span: Span) -> bool:
    """Whether it stands in a question, a condition or a denial; "wouldn't that be 8?" tells it."""
    before, after = _around(text, span)
    asked = "?" in after
    if _ANSWER.search(before) and not _ASKING.match(before):
        return False
    if asked:
        return not _LEADING.search(before + after)
    return _OPEN.search(_CLAUSE.split(before)[-1]) is not None


def is_named_answer(text: str, span: Span) -> bool:
    """Whether it is called the answer, and not "your answer"."""
    before, _ = _around(text, span)
    return _ANSWER.search(before) is not None and not _YOUR.search(before)


def offered(text: str, spans: Sequence[Span]) -> list[Span]:
    """Those of the spans that a turn offers as its answer: by that name, or in its conclusion."""
    if not spans:
        return []
    point, named = _conclusion(text, spans), _NAMES.search(text) is not None
    return [
        (start, end)
        for start, end in spans
        if (start >= point or (named and _ANSWER.search(text[max(0, start - _NEAR) : start])))
        and not _DENIED.match(text[end : end + _NEAR])
    ]


def _conclusion(text: str, spans: Sequence[Span]) -> int:
    """Where the last sentence that holds a number (or a span) comes to its point."""
    last = max([m.start() for m in _NUMBER.finditer(text)] + [start for start, _ in spans])
    begin = max((m.end() for m in _SENTENCE.finditer(text) if m.end() <= last), default=0)
    return max((m.end() for m in _CONCLUSION.finditer(text, begin, last)), default=begin)


def _around(text: str, span: Span) -> tuple[str, str]:
    """The rest of the sentence before and after a span."""
    before, after = text[max(0, span[0] - _NEAR) : span[0]], text[span[1] : span[1] + _NEAR]
    begin = max((m.end() for m in _SENTENCE.finditer(before)), default=0)
    stop = _SENTENCE.search(after)
    return before[begin:], after[: stop.start()] if stop else after
