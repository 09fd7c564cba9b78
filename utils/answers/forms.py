"""The shape of an answer: a single thing, a tuple or interval, a set or list, a matrix; and
whether two answers are equal, as far as plain Python can tell (True, False, or None: ask sympy).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from utils.answers.leaf import is_plain, leaves_equal
from utils.answers.split import listed, split, wrapped
from utils.answers.text import PLAIN, clean, join_thousands

MAX_ITEMS, MAX_DEPTH = 40, 5
LeafTest = Callable[[str, str], bool | None]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Anything without inner structure."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """Items in order: (1,2), [1,2), 3:4:5; `brackets` tells an interval's ends."""

    text: str
    brackets: str
    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Bag:
    """Items in any order: {1,2}; `bare`, without braces: 1, 2, or 1 and 2, or ±1."""

    text: str
    items: tuple[Form, ...]
    bare: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """A matrix, whatever its brackets."""

    text: str
    rows: tuple[tuple[Form, ...], ...]


Form = Leaf | Row | Bag | Grid

_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)
_NAMED = re.compile(
    r"(?:[A-Za-z]\w?|\([A-Za-z](?:\s*,\s*[A-Za-z])+\))\s*(?:=|\\in(?![a-zA-Z]))\s*(?=[(\[⦃]|\\begin|\\emptyset)"
)
_RELATION = re.compile(
    r"(?:(?P<low>[^<>=]+?)\s*(?P<left><|\\le)\s*)?(?P<name>[A-Za-z])\s*"
    r"(?:(?P<right><|\\le|>|\\ge)\s*(?P<high>[^<>=]+))?"
)


def equal_forms(a: str, b: str, leaf: LeafTest = leaves_equal) -> bool | None:
    """Whether two answers are equal; None where `leaf` could not tell.

    `leaf` is asked about pairs of cleaned texts without inner structure.
    """
    verdicts = [_equal(x, y, leaf) for x in _readings(clean(a)) for y in _readings(clean(b))]
    if True in verdicts:
        return True
    return None if None in verdicts else False


@lru_cache(maxsize=4096)
def _readings(text: str) -> tuple[Form, ...]:
    """100,200 can be one number or two; 100 200 is one."""
    if PLAIN.fullmatch(text):
        return (Leaf(text),)
    joined = join_thousands(text)
    return tuple(_parse(t, 0) for t in ((text,) if joined == text else (joined, text)))


def _parse(text: str, depth: int) -> Form:
    text = text.strip()
    if depth > MAX_DEPTH or not text:
        return Leaf(text)
    if named := _NAMED.match(text):
        return _parse(text[named.end() :], depth + 1)
    if matrix := _MATRIX.fullmatch(text):
        rows = [r for r in re.split(r"\\\\", matrix[2]) if r.strip()]
        return Grid(text, tuple(tuple(_parse(c, depth + 1) for c in r.split("&")) for r in rows))
    if text in (r"\emptyset", r"\varnothing"):
        return Bag(text, (), False)
    if items := listed(text):
        return Bag(text, _all(items, depth), True)
    if r"\pm" in text or r"\mp" in text:
        upper = text.replace(r"\pm", "+").replace(r"\mp", "-")
        lower = text.replace(r"\pm", "-").replace(r"\mp", "+")
        return Bag(text, _all([upper, lower], depth), True)
    if wrapped(text):
        return _bracketed(text, depth)
    if len(parts := split(text, ":")) > 2:
        return Row(text, ":", _all(parts, depth))
    return _interval(text, depth) or Leaf(text)


def _all(texts: Sequence[str], depth: int) -> tuple[Form, ...]:
    return tuple(_parse(text, depth + 1) for text in texts[: MAX_ITEMS + 1])


def _bracketed(text: str, depth: int) -> Form:
    inner = text[1:-1]
    items = split(inner, ";")
    if len(items) == 1:
        items = split(inner, ",")
    if text[0] == "⦃":
        if re.search(r"[|:]|\\mid", inner):
            return Leaf(text)
        return Bag(text, _all(items, depth) if inner.strip() else (), False)
    if len(items) > 1 and text[0] != "⟨" and all(i.strip() for i in items):
        return Row(text, text[0] + text[-1], _all(items, depth))
    return _parse(inner, depth + 1) if len(items) == 1 and inner.strip() else Leaf(text)


def _interval(text: str, depth: int) -> Form | None:
    """x > 3 is (3, infinity), 1 <= x < 2 is [1, 2)."""
    match = _RELATION.fullmatch(text)
    if match is None or match["low"] is None is match["right"]:
        return None
    low, high = (match["low"], match["left"]), (match["high"], match["right"])
    if match["right"] in (">", r"\ge"):
        if match["low"]:
            return None
        low, high = (match["high"], match["right"]), (None, None)
    brackets = ("[" if low[1] in (r"\le", r"\ge") else "(") + ("]" if high[1] == r"\le" else ")")
    ends = [low[0] or r"-\infty", high[0] or r"\infty"]
    return Row(text, brackets, _all(ends, depth))


# --- comparing -------------------------------------------------------------------------------


def _equal(a: Form, b: Form, leaf: LeafTest) -> bool | None:
    if isinstance(a, Leaf) and isinstance(b, Leaf):
        return leaf(a.text, b.text)
    if isinstance(a, Bag) and isinstance(b, Bag):
        return _same_items(a.items, b.items, leaf)
    if isinstance(a, Row) and isinstance(b, Row):
        return _in_order(a.items, b.items, leaf) if a.brackets == b.brackets else False
    if isinstance(a, Grid) and isinstance(b, Grid):
        if [len(r) for r in a.rows] != [len(r) for r in b.rows]:
            return False
        return _in_order(_flat(a), _flat(b), leaf)
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Row) and x.brackets == "()":
            if isinstance(y, Bag) and y.bare:
                return _in_order(x.items, y.items, leaf)
            if isinstance(y, Grid) and (len(y.rows) == 1 or len(y.rows[0]) == 1):
                return _in_order(x.items, _flat(y), leaf)
        if isinstance(x, Bag) and len(x.items) == 1 and not isinstance(y, Bag):
            return _equal(x.items[0], y, leaf)
    leaves = [form for form in (a, b) if isinstance(form, Leaf)]
    return leaf(a.text, b.text) if leaves and not is_plain(leaves[0].text) else False


def _flat(grid: Grid) -> tuple[Form, ...]:
    return tuple(cell for row in grid.rows for cell in row)


def _in_order(a: Sequence[Form], b: Sequence[Form], leaf: LeafTest) -> bool | None:
    if len(a) != len(b) or len(a) > MAX_ITEMS:
        return False
    verdict: bool | None = True
    for x, y in zip(a, b, strict=True):
        one = _equal(x, y, leaf)
        if one is False:
            return False
        verdict = verdict and one
    return verdict


def _same_items(a: Sequence[Form], b: Sequence[Form], leaf: LeafTest) -> bool | None:
    """Whether the items can be paired off, each with an equal one."""
    if len(a) != len(b) or len(a) > MAX_ITEMS:
        return False
    verdicts = [[_equal(x, y, leaf) for y in b] for x in a]
    if _matching([[v is True for v in row] for row in verdicts]):
        return True
    return None if _matching([[v is not False for v in row] for row in verdicts]) else False


def _matching(allowed: list[list[bool]]) -> bool:
    """Whether a bipartite graph has a perfect matching (augmenting paths)."""
    partner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, ok in enumerate(allowed[row]):
            if ok and column not in seen:
                seen.add(column)
                if column not in partner or place(partner[column], seen):
                    partner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(allowed)))
