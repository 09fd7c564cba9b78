"""The name before a value: x = 3, AB = 5, f(x) = 2x, Ann: 3, V_1:V_2 = 11:21, |z| = 3."""

from __future__ import annotations

import re

from utils.answers.reading.split import split
from utils.answers.reading.text import same_text
from utils.answers.reading.units import changes_claim, split_unit

_NAME = re.compile(r"\s*[A-Za-z\\⟨][A-Za-z0-9\\\s'{}⟨⟩_]*(?:\([^()]*\)\s*)?")
_LABEL = re.compile(
    r"\s*(?:⟨([^⟨⟩:]*[^⟨⟩:\d\s])\s*:⟩|⟨([^⟨⟩:\d]+)⟩(?:\s*:|(?=\s*[-+.\d\\]))|([A-Za-z][a-z]+)\s*:)\s*(?=\S)"
)
_COUNT = re.compile(r"(?<![A-Za-z0-9_])(?<!_\{)\d")  # a number: 3x is no name, x3 and x_3 are
_MEASURE = re.compile(
    r"(?=.*[A-Za-z])[A-Za-z\\\s{}⟨⟩_'|:/()\[\]+\-]*(?:(?:_\{?|\(|=)\d+[A-Za-z\\\s{}⟨⟩_'|:/()+\-]*)*"
)
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z]{2})")
_MARKS = re.compile(r"\\(?:angle|measuredangle|triangle|widehat|vec|overrightarrow)(?![a-z])")
_GENERIC = frozenset({"answer", "ans", "result", "solution", "value", "total"})


def split_name(text: str) -> tuple[str, str]:
    """(name, value) of a cleaned text; of named chains (x = 3 + 4 = 7) the last side; of a measure
    (|AB| = 1, AB:BC = 3:2, a + b = 8) its number."""
    if (label := _LABEL.match(text)) and not changes_claim(label[0]):
        return same_text(label[1] or label[2] or label[3]), text[label.end() :]
    name, *sides = split(text, "=")
    sides = [side.strip() for side in sides]
    if not all(sides) or not sides or name[-1:] in "<>!":
        return "", text
    numeric = not any(_UNKNOWN.search(split_unit(side).core) for side in sides)
    name = name.replace("^{-1}", "_inverse")
    is_name = _NAME.fullmatch(name) and not _COUNT.search(name.partition("(")[0])
    if is_name and (len(sides) == 1 or numeric):
        return same_text(name), sides[-1]
    if len(sides) == 1 and numeric and _MEASURE.fullmatch(name):
        return same_text(name), sides[0]
    return "", text


def sum_aloud(text: str) -> list[str]:
    """The sides of a chain of numbers, such as 3 + 4 = 7; [] for other texts."""
    sides = [side.strip() for side in split(text, "=")]
    is_chain = len(sides) > 1 and not any(_UNKNOWN.search(split_unit(s).core) for s in sides)
    return sides if is_chain and all(sides) else []


def name_kind(name: str) -> tuple[str, str]:
    """What kind of name it is, and what tells it from others of its kind."""
    name = _MARKS.sub("", name).replace("{", "").replace("}", "")
    if root := re.fullmatch(r"([xyz])_\d+", name):  # the roots x_1, x_2 come in any order
        return "letter", root[1]
    if function := re.fullmatch(r"([A-Za-z](?:_\w+)?'*)\([a-z]\)", name):
        return "function", function[1]
    if re.fullmatch(
        r"\\?[a-z]+_\w+|[A-Za-z](?:_\w+)?'*|\\[a-zA-Z]+|[A-Za-z]+\([A-Z\d=<>]+\)", name
    ):
        return "letter", name
    if re.fullmatch(r"[A-Z]{2,4}", name):
        return "points", "".join(sorted(name))
    if re.fullmatch(r"[A-Za-z]+", name) and name.lower() not in _GENERIC:
        return "word", name.lower()
    return "other", ""


def names_differ(a: str, b: str) -> bool:
    """Whether two names of one kind are not the same name."""
    x, y = name_kind(a), name_kind(b)
    return x[0] == y[0] and x[1] != y[1]
