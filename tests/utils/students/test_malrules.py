"""Misconceptions as programs: the wrong answer by hand, silence where a rule does not apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from utils.students.malrules import MALRULES, load_malrule

CASES = [
    ("forgets_carry", "What is 47+38?", "75"),
    ("forgets_carry", "Compute $47 + 38$.", "75"),
    ("forgets_carry", "What is 95+17?", "2"),
    ("forgets_carry", "What is 41+38?", None),  # no carry: right
    ("forgets_carry", "What is 1+2+3?", None),
    ("forgets_carry", "What is 3.5+38?", None),
    ("forgets_carry", "First 47+38, then 12+9.", None),
    ("smaller_from_larger", "What is 52 - 37?", "25"),
    ("smaller_from_larger", "What is 402 \u2212 38?", "436"),
    ("smaller_from_larger", "What is 37 - 52?", None),
    ("left_to_right", r"Compute $2 + 3 \times 4$.", "20"),
    ("left_to_right", "2+3*4*5", None),
    ("times_means_plus", "What is 3 * 4?", "7"),
    ("times_means_plus", "What is 2 * 2?", None),
    ("adds_across", r"What is $\frac{1}{2} + \frac{1}{3}$?", "2/5"),
    ("adds_across", "1/2+1/3+1/4", None),
    ("keeps_denominator", "What is 2/7 * 3/7?", "6/7"),
    ("keeps_denominator", "What is 2/7 * 3/8?", None),
    ("divides_without_inverting", r"$\frac{1}{2} \div \frac{3}{4}$", "3/8"),
    ("keeps_sign", "Solve x + 5 = 12 for x.", "17"),
    ("keeps_sign", "Solve 3x + 5 = 12.", None),
    ("subtracts_coefficient", "Solve 3x = 12.", "9"),
    ("subtracts_coefficient", "Solve 3 * x = 12.", "9"),
    ("subtracts_coefficient", "Solve -3x = 12.", None),
    ("distributes_to_first", "Solve 3(x+2)=18.", "16/3"),
    ("distributes_to_first", "Solve 2+3(x+2)=18.", None),
    ("percent_divides", r"What is $20\%$ of 80?", "4"),
    ("percent_divides", "What is 20 percent of 80?", "4"),
    ("percent_divides", "What is 10% of 80?", None),
    ("percent_is_amount", "Increase 80 by 20%.", "100"),
    ("percent_is_amount", "A price of 80 is increased by 20%.", None),
    ("percent_off_amount", "Decrease 80 by 25%.", "55"),
]


@pytest.mark.parametrize(("name", "problem", "wrong"), CASES)
def test_the_wrong_answer_by_hand(name: str, problem: str, wrong: str | None) -> None:
    assert MALRULES[name](problem) == wrong


def test_every_rule_and_topic_is_tested() -> None:
    assert {name for name, _, wrong in CASES if wrong} == MALRULES.keys()
    topics = {rule.topic for rule in MALRULES.values()}
    assert topics == {"arithmetic", "fractions", "equations", "percentages"}


def test_an_answer_follows_a_rule_by_value() -> None:
    rule = MALRULES["adds_across"]
    assert rule.follows("1/2 + 1/3", r"\frac{2}{5}") is True
    assert rule.follows("1/2 + 1/3", "0.4") is True
    assert rule.follows("1/2 + 1/3", "5/6") is False
    assert rule.follows("1/2 + 1/3", None) is False
    assert rule.follows("3 + 4", "7") is None


def test_a_rule_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import dataclasses\nfrom utils.students.malrules import MALRULES\n"
        "own = dataclasses.replace(MALRULES['keeps_sign'], name='own')\nother = print\n"
    )
    assert load_malrule(f"{file}:own", "s").name == "own"
    with pytest.raises(ConfigError, match="is no Malrule"):
        load_malrule(f"{file}:other", "s")
    with pytest.raises(ConfigError, match="s: no rule is called nothing"):
        load_malrule("nothing", "s")
