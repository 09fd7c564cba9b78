"""Whether a box holds work still to be done: the question 4 * 4 in place of 16.

Asked only where the reference is made of single numbers, in whatever dress (a unit, a name, a sign,
a tuple).  Fractions, powers, roots and factorials are ways to write a number; so is a product with
a power of ten, and with a root or pi where the reference has one.
"""

from __future__ import annotations

import re

from utils.answers.reading.names import split_name
from utils.answers.reading.numbers import plain_value
from utils.answers.reading.remarks import split_choice, split_remark
from utils.answers.reading.split import listed
from utils.answers.reading.text import DOLLAR, clean, join_thousands, same_text
from utils.answers.reading.units import split_unit

_WRITTEN = "frac|sqrt|pi|infty|times|cdot|cup|pm|overline|bar|dot|ldots"  # ways to write numbers
_OTHER = "circ|in|le|ge|ne|text|begin|end|mathbb|alpha|beta|gamma|theta|phi|lambda|mu|omega"
_NUMERIC = re.compile(
    rf"(?:\\(?:{_WRITTEN})(?![A-Za-z])|\\(?:\\|(?:begin|end)\{{[a-zA-Z]+\}})"
    r"|[-+\d.,;:/\s{}()\[\]⦃⦄^!%&]|(?<![A-Za-z])[ei](?![A-Za-z]))*"
)
_SURD = re.compile(r"\\(?:sqrt|pi)(?![A-Za-z])|(?<![A-Za-z])[ei](?![A-Za-z])")
_POWER_OF_TEN = re.compile(r"\s*\\(?:times|cdot)\s*10\s*(?=\^)")
_EXPONENT = re.compile(r"\^\s*(?:\{[^{}]*\}|[-+]?\w)")
_SUM = re.compile(rf"[\w)}}\]⟩%!]\s*(?:[-+]|\\[pm][mp](?![a-z]))\s*[\w.({{\\⟨{DOLLAR}]")
_PRODUCT = re.compile(
    r"[\d)]\s*\\(?:times|cdot)\s*(?:[\d.(]|\\frac)|\\div|!\s*/|[\d)}]\s*\([\s+-]*[\d(.]|\)\s*\d"
    r"|\\end\{\w+\}\s*\\begin"
)
_SURD_PRODUCT = re.compile(r"[\d)}]\s*\\(?:times|cdot)\s*\\(?:sqrt|pi)|\}\s*\\(?:times|cdot)")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|in)(?![a-z])")
_UNKNOWN = re.compile(r"(?<![A-Za-z\\⟨{])[a-df-hj-zA-Z](?![A-Za-z])")
_DIVISION = re.compile(r"([\d.]+)\s*\)?\s*[/:]\s*[({]?\s*([\d.]+)")
_FUNCTION = re.compile(
    rf"\\(?!(?:{_WRITTEN}|{_OTHER})(?![A-Za-z]))[A-Za-z]+|\|\s*\{{?\s*[-+]?\s*[\d\\]"
    r"|(?<!\\)\b[A-Za-z]+(?:_\w)?\s*\(\s*[-+]?[\d.]|⟨(?:mod|gcd|lcm|max|min)⟩"
    r"|(?<![A-Za-z\\])(?:mod|choose|plus|minus|times)(?![A-Za-z])"
)


def is_unfinished(boxed: str, reference: str) -> bool:
    """Whether numbers of a box still wait to be worked on, where the reference is done."""
    box, wanted = _values_of(boxed), _values_of(reference)
    if [same_text(value) for value in box] == [same_text(value) for value in wanted]:
        return False
    are_numbers = all(value and _NUMERIC.fullmatch(value) for value in wanted)
    if not are_numbers or any(_waits(value, "") for value in wanted):
        return False
    return any(_waits(value.rpartition("=")[2], reference) for value in box)


def _values_of(text: str) -> list[str]:
    """The values of a text, without choice letter, remarks, names and units."""
    text = split_remark(clean(text))[0]
    text = join_thousands(split_choice(text)[1])
    return [split_unit(split_name(item)[1]).core for item in listed(text) or [text]]


def _waits(text: str, reference: str) -> bool:
    """Whether an operation or a function of numbers stands in a value."""
    if plain_value(text) is not None:
        return _divides(text)
    is_open = _FUNCTION.search(text) or (reference and _UNKNOWN.search(text))
    if is_open and not _RELATION.search(text):
        return True
    text = _EXPONENT.sub("", _POWER_OF_TEN.sub("e", text))
    if _SUM.search(text) or _PRODUCT.search(text):
        return True
    if not _SURD.search(reference or text) and _SURD_PRODUCT.search(text):
        return True
    return _divides(text)


def _divides(text: str) -> bool:
    """Whether a division stands there that comes out whole: 36/2, 36:2."""
    for over, under in _DIVISION.findall(text):
        a, b = plain_value(over), plain_value(under)
        if a is not None and b and (a / b).denominator == 1:
            return True
    return False
