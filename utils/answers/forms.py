"""The shape of an answer: a single thing, a tuple or interval, a set or list, named values, a
matrix; and whether two answers are equal, as far as plain Python can tell (True, False, or None:
ask math-verify).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from utils.answers.leaf import is_date, is_plain, leaves_equal
from utils.answers.reading.names import name_kind, names_differ, split_name
from utils.answers.reading.numbers import plain_value
from utils.answers.reading.remarks import domain_of, split_choice, split_remark
from utils.answers.reading.split import listed, split, wrapped
from utils.answers.reading.text import PLAIN, clean, join_thousands, same_text
from utils.answers.reading.units import quantities

MAX_ITEMS, MAX_DEPTH = 40, 5
LeafTest = Callable[[str, str], bool | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Items of a kind, in order: "()", "[)" and so on, ":" for a ratio, "column", "row" and "grid"
    for a matrix, "=" for x = 1, y = 2 with its names; or in any: "{}" for a set, "," for a list.
    of: what an interval is the range of, where it says so.
    """

    text: str
    kind: str
    items: tuple[Form, ...]
    names: tuple[str, ...] = ()
    of: str = ""


Form = str | Group  # a text has no inner structure
_UNORDERED, _TUPLES = ("{}", ","), ("()", "=")
_MATRIX = re.compile(
    r"⦃?\s*\\begin\{([pbB]?(?:small)?matrix|array|cases|aligned|gathered)\}(?:\{[lcr|]*\})?"
    r"((?:(?!\\end).)*)\\end\{\1\}",
    re.DOTALL,
)
_NAMED = re.compile(
    r"(?:[A-Za-z]\w?|\([A-Za-z](?:\s*,\s*[A-Za-z])+\))\s*(?:=|\\in(?![a-zA-Z]))\s*"
    r"(?=[(\[⦃]|\\begin|\\emptyset)"
)
_RELATION = re.compile(
    r"(?:(?P<low>[^<>=]+?)\s*(?P<left><|\\le)\s*)?"
    r"(?P<of>(?:[A-Za-z]|\\(?!le|ge|infty|pi|sqrt|frac)[a-z]+)(?:_\w|\([A-Za-z]\))?)\s*"
    r"(?:(?P<right><|\\le|>|\\ge)\s*(?P<high>[^<>=]+))?"
)
_BUILDER = re.compile(
    r"\s*[a-zA-Z]\s*(?:\||:|\\mid(?![a-z]))([^|:,;]*(?:[<>]|\\(?:[lg]e|ne)(?![a-z]))[^|:,;]*)"
)
_SIGNS = re.compile(r"\\([pm])[pm](?![a-z])")
_DECIMAL_COMMA = re.compile(
    r"[€£]?\s*(?:([-+]?(?:0|\d{4,})),(\d+)(?![\d,])|([-+]?\d{1,3}),(\d{2}|\d{4,})(?![\d,]))"
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
        same = not (rest_a and rest_b) or _same_readings(rest_a, rest_b, leaf)
        return same if letter_a == letter_b else False
    return _same_readings(rest_a or a, rest_b or b, leaf)


def _same_readings(a: str, b: str, leaf: LeafTest) -> bool | None:
    verdicts = [_equal(x, y, leaf) for x in _readings(a) for y in _readings(b)]
    return True if True in verdicts else None if None in verdicts else False


@lru_cache(maxsize=4096)
def _readings(text: str) -> tuple[Form, ...]:
    """100,200 can be one number or two, and so can 1,25; 100 200 is one."""
    if PLAIN.fullmatch(text):
        return (text,)
    texts = {join_thousands(text): None, text: None}
    if comma := _DECIMAL_COMMA.match(text):
        whole, part = comma[1] or comma[3], comma[2] or comma[4]
        texts[f"{whole}.{part}{text[comma.end() :]}"] = None
    return tuple(_parse(reading, 0) for reading in texts)


def _parse(text: str, depth: int) -> Form:
    text = text.strip()
    if depth > MAX_DEPTH or not text or is_date(text):
        return text
    if named := _NAMED.match(text):
        return _called(named[0].strip(), _parse(text[named.end() :], depth + 1))
    if matrix := _MATRIX.fullmatch(text):
        rows = [r.split("&") for r in re.split(r"\\\\", matrix[2]) if r.strip()]
        if rows and all("".join(row).count("=") == 1 for row in rows):  # a system of equations
            return _parse(", ".join("".join(row) for row in rows), depth + 1)
        return _matrix(text, rows, depth)
    if text in (r"\emptyset", r"\varnothing"):
        return Group(text, "{}", ())
    if items := listed(text) or quantities(text):
        return _list(text, items, depth)
    signs = _signs(text)
    if len(signs) > 1 and not (wrapped(text) and text[0] == "⦃"):
        return Group(text, ",", _all(signs, depth))
    if wrapped(text):
        return _bracketed(text, depth)
    parts = [plain_value(part) for part in split(split_name(text)[1], ":")]
    if len(parts) > 2 and parts[0] and None not in parts:  # 4:6:8 is 2:3:4
        return Group(text, ":", tuple(str(part / parts[0]) for part in parts if part is not None))
    return _interval(text, depth) or text


def _called(name: str, form: Form) -> Form:
    """(x, y) = (1, 2) with its names; an interval that says whose range it is."""
    if not isinstance(form, Group) or form.names:
        return form
    names = tuple(same_text(part) for part in name.rstrip("= ").strip("()").split(","))
    if name[0] != "(":
        return replace(form, of=names[0].removesuffix(r"\in"))
    is_each = form.kind == "()" and len({*map(name_kind, names)}) == len(form.items)
    return replace(form, kind="=", names=names) if is_each else form


def _all(texts: Sequence[str], depth: int) -> tuple[Form, ...]:
    return tuple(_parse(text, depth + 1) for text in texts[: MAX_ITEMS + 1])


def _matrix(text: str, rows: list[list[str]], depth: int) -> Form:
    if all(len(row) == 1 for row in rows):
        column = _all([row[0] for row in rows], depth)
        return column[0] if len(column) == 1 else Group(text, "column", column)
    if len(rows) == 1:
        return Group(text, "row", _all(rows[0], depth))
    return Group(text, "grid", tuple(Group(text, "row", _all(row, depth)) for row in rows))


def _signs(text: str) -> list[str]:
    """Both readings of a text with plus-minus signs."""
    upper = _SIGNS.sub(lambda sign: "+" if sign[1] == "p" else "-", text)
    lower = _SIGNS.sub(lambda sign: "-" if sign[1] == "p" else "+", text)
    return [text] if upper == text else [upper, lower]


def _list(text: str, items: Sequence[str], depth: int) -> Form:
    """A list; where its items have names of their own (x = 1, y = 2), a row with names."""
    if len(items) > MAX_ITEMS:
        return text
    names, values = zip(*map(split_name, items), strict=True)
    if all(names) and len({name_kind(name) for name in names}) == len(names):
        return Group(text, "=", _all(values, depth), names)
    return Group(text, ",", _all(_members(items), depth))


def _members(items: Sequence[str]) -> list[str]:
    """Items with both signs of each ±; a tuple that is listed twice counts once."""
    each = [sign.strip() for item in items for sign in _signs(item)]
    tuples = all(item[:1] == "(" for item in each)
    return list({same_text(item): item for item in each}.values()) if tuples else each


def _bracketed(text: str, depth: int) -> Form:
    inner = text[1:-1]
    items = split(inner, ";")
    if len(items) == 1:
        items = split(inner, ",")
    if text[0] == "⦃" or (text[0] == "{" and len(items) > 1):
        if builder := _BUILDER.fullmatch(inner):  # {x | x > 3}
            return _parse(builder[1], depth + 1)
        if re.search(r"[|:]|\\mid", inner):
            return text
        members = _all(_members(items), depth) if inner.strip() else ()
        return Group(text, "{}" if text[0] == "⦃" else ",", members)
    if len(items) > 1 and text[0] != "⟨" and all(i.strip() for i in items):
        return Group(text, text[0] + text[-1], _all(items, depth))
    return _parse(inner, depth + 1) if len(items) == 1 and inner.strip() else text


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
    ends = _all([low[0] or r"-\infty", high[0] or r"\infty"], depth)
    return Group(text, brackets, ends, of=same_text(match["of"]))


# --- comparing -------------------------------------------------------------------------------


def _equal(a: Form, b: Form, leaf: LeafTest) -> bool | None:
    if isinstance(a, Group) and isinstance(b, Group):
        if a.of and b.of and names_differ(a.of, b.of):
            return False
        if a.kind in _UNORDERED and b.kind in _UNORDERED:
            return _same_items(a.items, b.items, leaf)
        if a.names and b.names:
            return _same_names(a, b, leaf)
        if a.kind == b.kind or _reads_as_tuple(a, b) or _reads_as_tuple(b, a):
            return _in_order(a.items, b.items, leaf)
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Group) and x.kind in _UNORDERED and len(x.items) == 1:
            return _equal(x.items[0], y, leaf)
    texts = [form.text if isinstance(form, Group) else form for form in (a, b)]
    plain = [isinstance(form, Group) or is_plain(form) for form in (a, b)]
    if isinstance(a, Group) or isinstance(b, Group):
        return False if all(plain) else leaf(*texts)
    return leaf(a, b)


def _reads_as_tuple(a: Group, b: Group) -> bool:
    """(1, 2) and x = 1, y = 2 against a list without brackets, a column or a row."""
    return a.kind in _TUPLES and b.kind in (*_TUPLES, ",", "column", "row")


def _same_names(a: Group, b: Group, leaf: LeafTest) -> bool | None:
    kinds = [name_kind(name) for name in b.names]
    if {name_kind(name) for name in a.names} != set(kinds):
        return False
    places = [kinds.index(name_kind(name)) for name in a.names]
    return _in_order(a.items, [b.items[place] for place in places], leaf)


def _in_order(a: Sequence[Form], b: Sequence[Form], leaf: LeafTest) -> bool | None:
    if len(a) != len(b) or len(a) > MAX_ITEMS:
        return False
    verdicts = [_equal(x, y, leaf) for x, y in zip(a, b, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def _same_items(a: Sequence[Form], b: Sequence[Form], leaf: LeafTest) -> bool | None:
    """Whether the items can be paired off, each with an equal one; equal ones stand for each other,
    so that the first will do."""
    if len(a) != len(b) or len(a) > MAX_ITEMS:
        return False
    verdicts = [[_equal(x, y, leaf) for y in b] for x in a]
    if any(set(line) == {False} for line in (*verdicts, *zip(*verdicts, strict=True))):
        return False
    free = set(range(len(b)))
    for row in verdicts:
        free.discard(next((place for place in sorted(free) if row[place]), -1))
    return True if not free else None if any(None in row for row in verdicts) else False
