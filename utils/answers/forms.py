"""The shape of an answer: a single thing, a tuple or interval, a set or list, named values, a matrix;
and whether two answers are equal, as far as plain Python can tell (True, False, or None: ask
math-verify).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from utils.answers.leaf import is_date, is_plain, leaves_equal
from utils.answers.names import name_kind, split_name
from utils.answers.numbers import plain_value
from utils.answers.remarks import domain_of, split_choice, split_remark
from utils.answers.split import listed, split, wrapped
from utils.answers.text import PLAIN, clean, join_thousands, same_text
from utils.answers.units import quantities

MAX_ITEMS, MAX_DEPTH = 40, 5
LeafTest = Callable[[str, str], bool | None]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Anything without inner structure."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """Items in order: (1,2), [1,2), 3:4:5; `brackets` tells an interval's ends.

    names: of x = 1, y = 2, in their order; its brackets are "".
    """

    text: str
    brackets: str
    items: tuple[Form, ...]
    names: tuple[str, ...] = ()


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

_MATRIX = re.compile(
    r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?((?:(?!\\end).)*)\\end\{\1\}", re.DOTALL
)
_NAMED = re.compile(
    r"(?:[A-Za-z]\w?|\([A-Za-z](?:\s*,\s*[A-Za-z])+\))\s*(?:=|\\in(?![a-zA-Z]))\s*(?=[(\[⦃]|\\begin|\\emptyset)"
)
_UNKNOWN = r"[A-Za-z](?:_\w|\([A-Za-z]\))?"
_RELATION = re.compile(
    r"(?:(?P<low>[^<>=]+?)\s*(?P<left><|\\le)\s*)?"
    rf"(?P<name>{_UNKNOWN})\s*(?:(?P<right><|\\le|>|\\ge)\s*(?P<high>[^<>=]+))?"
)
_SIGNS = re.compile(r"\\(?:(?=pm)|(?=mp))([pm])[pm](?![a-z])")
_DECIMAL_COMMA = re.compile(
    r"([-+]?(?:0|\d{4,})),(\d+)(?![\d,])|([-+]?\d{1,3}),(\d{2}|\d{4,})(?![\d,])"
)


def equal_forms(a: str, b: str, leaf: LeafTest = leaves_equal) -> bool | None:
    """Whether two answers are equal; None where `leaf` could not tell.

    `leaf` is asked about pairs of cleaned texts without inner structure.
    """
    (a, said_a), (b, said_b) = split_remark(clean(a)), split_remark(clean(b))
    domains = domain_of(said_a), domain_of(said_b)
    if all(domains) and domains[0] != domains[1]:
        return False
    (letter_a, rest_a), (letter_b, rest_b) = split_choice(a), split_choice(b)
    if letter_a and letter_b:
        return letter_a == letter_b and (
            not (rest_a and rest_b) or _same_readings(rest_a, rest_b, leaf)
        )
    return _same_readings(rest_a or a, rest_b or b, leaf)


def _same_readings(a: str, b: str, leaf: LeafTest) -> bool | None:
    verdicts = [_equal(x, y, leaf) for x in _readings(a) for y in _readings(b)]
    if True in verdicts:
        return True
    return None if None in verdicts else False


@lru_cache(maxsize=4096)
def _readings(text: str) -> tuple[Form, ...]:
    """100,200 can be one number or two, and so can 1,25; 100 200 is one."""
    if PLAIN.fullmatch(text):
        return (Leaf(text),)
    texts = [text]
    if (joined := join_thousands(text)) != text:
        texts.insert(0, joined)
    if comma := _DECIMAL_COMMA.match(text):
        whole, part = comma[1] or comma[3], comma[2] or comma[4]
        texts.append(f"{whole}.{part}{text[comma.end() :]}")
    return tuple(_parse(t, 0) for t in texts)


def _parse(text: str, depth: int) -> Form:
    text = text.strip()
    if depth > MAX_DEPTH or not text:
        return Leaf(text)
    if named := _NAMED.match(text):
        return _parse(text[named.end() :], depth + 1)
    if matrix := _MATRIX.fullmatch(text):
        rows = [r for r in re.split(r"\\\\", matrix[2]) if r.strip()]
        if len(rows) == 1 and "&" not in rows[0]:
            return _parse(rows[0], depth + 1)
        return Grid(text, tuple(tuple(_parse(c, depth + 1) for c in r.split("&")) for r in rows))
    if text in (r"\emptyset", r"\varnothing"):
        return Bag(text, (), False)
    if is_date(text):
        return Leaf(text)
    if items := listed(text) or quantities(text):
        return _list(text, items, depth)
    if len(signs := _signs(text)) > 1 and not (wrapped(text) and text[0] == "⦃"):
        return Bag(text, _all(signs, depth), True)
    if wrapped(text):
        return _bracketed(text, depth)
    parts = [plain_value(part) for part in split(text, ":")]
    if len(parts) > 2 and parts[0] and None not in parts:  # 4:6:8 is 2:3:4
        return Row(
            text, ":", tuple(Leaf(str(part / parts[0])) for part in parts if part is not None)
        )
    return _interval(text, depth) or Leaf(text)


def _signs(text: str) -> list[str]:
    """Both readings of a text with plus-minus signs."""
    if not _SIGNS.search(text):
        return [text]
    return [
        _SIGNS.sub(lambda sign: signs[sign[1]], text)
        for signs in ({"p": "+", "m": "-"}, {"p": "-", "m": "+"})
    ]


def _list(text: str, items: Sequence[str], depth: int) -> Form:
    """A list; where its items have names of their own (x = 1, y = 2), a row with names."""
    if len(items) > MAX_ITEMS:
        return Leaf(text)
    names = [split_name(item)[0] for item in items]
    kinds = {name_kind(name) for name in names}
    if all(names) and len(kinds) == len(names):
        values = [split_name(item)[1] for item in items]
        return Row(text, "", _all(values, depth), tuple(names))
    return Bag(text, _all(_members(items), depth), True)


def _members(items: Sequence[str]) -> list[str]:
    """Items with both signs of each ±; a tuple that is listed twice counts once."""
    each = [sign.strip() for item in items for sign in _signs(item)]
    tuples = all(item[:1] == "(" for item in each)
    return list({same_text(item): item for item in each}.values()) if tuples else each


def _all(texts: Sequence[str], depth: int) -> tuple[Form, ...]:
    return tuple(_parse(text, depth + 1) for text in texts[: MAX_ITEMS + 1])


def _bracketed(text: str, depth: int) -> Form:
    inner = text[1:-1]
    items = split(inner, ";")
    if len(items) == 1:
        items = split(inner, ",")
    if text[0] == "⦃" or (text[0] == "{" and len(items) > 1):
        if re.search(r"[|:]|\\mid", inner):
            return Leaf(text)
        return Bag(text, _all(_members(items), depth) if inner.strip() else (), text[0] == "{")
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
        return _rows_equal(a, b, leaf)
    if isinstance(a, Grid) and isinstance(b, Grid):
        if [len(r) for r in a.rows] != [len(r) for r in b.rows]:
            return False
        return _in_order(_flat(a), _flat(b), leaf)
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Row) and x.brackets in ("()", ""):
            if isinstance(y, Bag) and y.bare:
                return _in_order(x.items, y.items, leaf)
            if isinstance(y, Grid) and (len(y.rows) == 1 or len(y.rows[0]) == 1):
                return _in_order(x.items, _flat(y), leaf)
        if isinstance(x, Bag) and len(x.items) == 1 and not isinstance(y, Bag):
            return _equal(x.items[0], y, leaf)
    leaves = [form for form in (a, b) if isinstance(form, Leaf)]
    return leaf(a.text, b.text) if leaves and not is_plain(leaves[0].text) else False


def _rows_equal(a: Row, b: Row, leaf: LeafTest) -> bool | None:
    if a.names and b.names:
        kinds = [name_kind(name) for name in b.names]
        if {name_kind(name) for name in a.names} != set(kinds):
            return False
        places = [kinds.index(name_kind(name)) for name in a.names]
        return _in_order(a.items, [b.items[place] for place in places], leaf)
    if {a.brackets, b.brackets} == {"", "()"} or a.brackets == b.brackets:
        return _in_order(a.items, b.items, leaf)
    return False


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
