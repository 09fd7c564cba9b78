"""A set of problems is the same, however it is written down."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.utils.data.layouts import LAYOUTS, Pairs
from utils.data.load import load_problems

WRITTEN = st.characters(exclude_categories=("Cc", "Cs"), include_characters="\n")
texts = st.text(WRITTEN, min_size=1, max_size=40).map(lambda text: f"{text} Find it?".strip())
numbers = st.one_of(
    st.integers().map(str),
    st.decimals(-1000, 1000, places=2).map(str),
    st.tuples(st.integers(1, 99), st.integers(2, 99)).map(lambda f: rf"\frac{{{f[0]}}}{{{f[1]}}}"),
)
answers = st.one_of(
    numbers,
    st.tuples(numbers, st.sampled_from(["x", r"\pi", r"\sqrt{2}"])).map(lambda p: p[0] + p[1]),
    st.tuples(numbers, numbers).map(lambda p: f"({p[0]}, {p[1]})"),
    st.sampled_from([r"\text{Monday}", "(B)", "12 cm", r"x \neq 5", r"\{1, 2\}", "50\\%", "-$3"]),
)
sets = st.lists(st.tuples(texts, answers), min_size=1, max_size=4, unique_by=lambda pair: pair[0])
HARD: Pairs = [
    ('A "quote", a comma;\ta tab\nand a line\u2028end: 2 + 2?', "4"),
    ('[{"role": "user"}] is JSON of what?', r"\text{a list}"),
    ("É pur si muove \U0001d54f, {{ 7*7 }} <|im_end|>?", "1,234"),
    (r"Is $\frac{1}{2} \times \nu$ right?", r"\dfrac{1}{2}"),
    ("Problem: 00123?", "9007199254740993"),
]


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=10)
@example(pairs=HARD)
@given(pairs=sets)
def test_the_same_problems(name: str, pairs: Pairs) -> None:
    with tempfile.TemporaryDirectory() as folder:
        entry = LAYOUTS[name](Path(folder), pairs)
        found = load_problems([entry], seed=0)
    assert sorted((p.text, p.answer) for p in found) == sorted(pairs)
