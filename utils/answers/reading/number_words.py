"""English number words: which runs of words say a number, and which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

_UNITS = {
    word: value
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen""".split()  # noqa: SIM905
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        """twenty thirty forty fifty sixty seventy eighty ninety""".split(),  # noqa: SIM905
        start=2,
    )
} | {"fourty": 40}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "sixteenth": 16, "twentieth": 20,
    "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_PLURAL_PARTS = {f"{word}s": value for word, value in _PARTS.items()} | {
    "halves": 2, "quarters": 4,
}  # fmt: skip
_ORDINALS = set(_PARTS) | {"first", "second", "thirteenth", "fourteenth"}
_BEGINS = set(_UNITS) | set(_TENS) | {"a", "half", "negative", "minus"}
_NUMBER_WORDS = set(_UNITS) | set(_TENS) | set(_SCALES) | set(_PLURAL_PARTS) | {"hundred", "half"}
# "one" is a number unless its neighbours make it a pronoun or an article
_PRONOUN_AFTER = frozenset(
    """this that which each every the no any another first next last only other right wrong
    correct someone some easy easier simple good better new same""".split()  # noqa: SIM905
)
_PRONOUN_BEFORE = frozenset(
    """of another more thing things by way last day who that at step side or moment idea reason
    question hint small quick final important good possible strategy approach method
    """.split()  # noqa: SIM905
)


_ANY = {*_BEGINS, *_SCALES, *_PARTS, *_PLURAL_PARTS, *_ORDINALS, "hundred", "dozen", "quarter",
        "and", "of", "point"}  # fmt: skip


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_BEGIN = re.compile(
    rf"(?<![a-z])(?:{_either(_BEGINS - {'a'})}|a(?=\s+(?:{_either(_ANY)})))(?![a-z])"
)
_RUN = re.compile(rf"(?:{_either(_ANY)})(?:[\s-]+(?:{_either(_ANY)})(?![a-z])){{0,30}}")
_WORD = re.compile("[a-z]+")
_WORD_BEFORE, _WORD_AFTER = re.compile(r"([a-z]+)[\s-]*$"), re.compile(r"[\s-]*([a-z]+)")


def numbers_in_words(text: str) -> Iterator[tuple[Fraction, int, int]]:
    """Values and spans of the numbers that a text says in words."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter whose lower case is longer: leave those as they are
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    place = 0
    while begin := _BEGIN.search(lowered, place):
        run = _RUN.match(lowered, begin.start())
        if run is None or (begin[0] == "minus" and _is_subtraction(lowered, begin.start())):
            place = begin.end()
            continue
        words = list(_WORD.finditer(run[0]))
        value, used = _number([word[0] for word in words])
        start, place = begin.start(), begin.start() + words[max(1, used) - 1].end()
        if value is not None and not (begin[0] == "one" and _is_pronoun(lowered, start, place)):
            yield value, start, place


def whole_number(text: str) -> Fraction | None:
    """The number that a text is in words and nothing else, or None."""
    words = text.lower().replace("-", " ").split()
    if not words or len(words) > 30 or words[0] not in _BEGINS:
        return None
    value, used = _number(words)
    return value if used == len(words) else None


def _is_subtraction(text: str, start: int) -> bool:
    """Whether a number stands right before the word "minus"."""
    if text[:start].rstrip()[-1:].isdigit():
        return True
    before = _WORD_BEFORE.search(text, max(0, start - 20), start)
    return before is not None and before[1] in _NUMBER_WORDS


def _is_pronoun(text: str, start: int, end: int) -> bool:
    """Whether a "one" (its span may have grown to a longer number) is no number."""
    if end - start != len("one"):
        return False
    before = _WORD_BEFORE.search(text, max(0, start - 20), start)
    after = _WORD_AFTER.match(text, end)
    return (before is not None and before[1] in _PRONOUN_AFTER) or (
        after is not None and after[1] in _PRONOUN_BEFORE
    )


def _number(words: Sequence[str]) -> tuple[Fraction | None, int]:
    """The number at the head of the words, and how many it takes (words to skip if there is
    none)."""
    if words[0] in ("negative", "minus"):
        value, used = _number(words[1:]) if len(words) > 1 else (None, 0)
        return (None, 1) if value is None else (-value, used + 1)
    if words[0] == "half":
        return (Fraction(6), 3) if list(words[1:3]) == ["a", "dozen"] else (Fraction(1, 2), 1)
    if words[0] == "a":
        return _after_article(words)
    count, used = _cardinal(words)
    after = words[used] if used < len(words) else ""
    if after in _PLURAL_PARTS:
        return Fraction(count, _PLURAL_PARTS[after]), used + 1
    if count == 1 and (after in _PARTS or after in ("half", "quarter")):
        return Fraction(1, (_PARTS | {"half": 2, "quarter": 4})[after]), used + 1
    if after in _ORDINALS and (words[used - 1] in _TENS or count % 100 == 0):
        return None, used + 1  # twenty-fifth, one hundred second: ordinals
    if after == "dozen":
        return Fraction(12 * count), used + 1
    if after == "point":
        return _decimals(count, words, used)
    return Fraction(count), used


def _after_article(words: Sequence[str]) -> tuple[Fraction | None, int]:
    after = words[1] if len(words) > 1 else ""
    if after in ("half", "quarter"):
        return Fraction(1, 2 if after == "half" else 4), 2
    if after in _PARTS and list(words[2:3]) == ["of"]:
        return Fraction(1, _PARTS[after]), 2
    if after == "dozen":
        return Fraction(12), 2
    if after == "hundred" or after in _SCALES:
        value, used = _cardinal(["one", *words[1:]])
        return Fraction(value), used
    return None, 1


def _decimals(whole: int, words: Sequence[str], point: int) -> tuple[Fraction, int]:
    digits = ""
    for word in words[point + 1 :]:
        if _UNITS.get(word, 10) > 9:
            break
        digits += str(_UNITS[word])
    if not digits:
        return Fraction(whole), point
    return Fraction(f"{whole}.{digits}"), point + 1 + len(digits)


def _cardinal(words: Sequence[str]) -> tuple[int, int]:
    """A whole number and the words it takes: "two thousand and twenty-one" is (2021, 5).

    `group` is what stands since the last scale word (None: nothing yet), `scale` that word's.
    """
    total, group, scale, used = 0, None, 10**15, 0
    while used < len(words):
        step = 1
        word = words[used]
        if word == "and" and used and (words[used - 1] == "hundred" or group is None):
            step, word = 2, words[used + 1] if used + 1 < len(words) else ""
            if word not in _UNITS and word not in _TENS:
                break
            if _fraction_follows(words, used + 1):
                break
        if word in _UNITS and (group is None or _takes(group, _UNITS[word])):
            group = (group or 0) + _UNITS[word]
        elif word in _TENS and (group is None or (group and group % 100 == 0)):
            group = (group or 0) + _TENS[word]
        elif word == "hundred" and group is not None and 0 < group < 100:
            group *= 100
        elif word in _SCALES and group and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, group = total + group * scale, None
        else:
            break
        used += step
    return total + (group or 0), used


def _takes(group: int, unit: int) -> bool:
    """Whether a unit may follow: after a hundred, or a digit after a ten."""
    if group and group % 100 == 0:
        return unit > 0
    return 0 < unit < 10 and group % 100 >= 20 and group % 10 == 0


def _fraction_follows(words: Sequence[str], place: int) -> bool:
    """ "one hundred and three quarters": the and joins a fraction, not a number."""
    after = words[place + 1] if place + 1 < len(words) else ""
    return after in _PLURAL_PARTS or after in ("half", "quarter", "third")
