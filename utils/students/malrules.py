"""Misconceptions as rules: what somebody believes, and a program that says the wrong answer.

    generation.students.carry: {persona: prompt_templates/students/misconception.txt,
                                kind: misconception, misconception: forgets_carry}

A rule speaks of one form of exercise ("What is 47 + 38?").  Where a problem does not have it, has
it more than once, or the rule happens to give the right answer, the program says nothing.  The
errors are those that studies of school mathematics list again and again (VanLehn, Mind Bugs, 1990;
Sleeman, Cognitive Science 8, 1984).  One of your own is a `Malrule` of a module or file
(`module:name`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from config.errors import ConfigError
from config.functions import is_function, load_function
from utils.answers.equality import equal

Topic = Literal["arithmetic", "fractions", "equations", "percentages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Malrule:
    """One misconception.  Called with a problem's text, it says the wrong answer, or None."""

    name: str
    topic: Topic
    statement: str  # what the student believes, as `{{ misconception }}` of its persona
    form: re.Pattern[str]  # of the exercise; its groups are the numbers
    wrong: Callable[..., Fraction | int]
    right: Callable[..., Fraction | int]

    def __call__(self, problem: str) -> str | None:
        found = list(self.form.finditer(plain(problem)))
        if len(found) != 1:
            return None
        numbers = [Fraction(group) for group in found[0].groups()]
        try:
            wrong, right = self.wrong(*numbers), self.right(*numbers)
        except ZeroDivisionError:
            return None
        return None if wrong == right else str(wrong)

    def follows(self, problem: str, answer: str | None) -> bool | None:
        """Whether an answer is this rule's; None where the rule says nothing of the problem."""
        expected = self(problem)
        if expected is None:
            return None
        return answer is not None and equal(answer, expected)


_SPELLINGS = (
    (re.compile(r"\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\times|\\cdot|[×·⋅]"), "*"),  # noqa: RUF001
    (re.compile(r"\\div|÷"), "÷"),
    (re.compile(r"[−–]"), "-"),  # noqa: RUF001
    (re.compile(r"\\?%|\bper\s?cent\b"), "%"),
    (re.compile(r"\\[()\[\]]|\$(?!\d+(?:\.\d+)?\s+(?:costs|is|by))"), ""),
)


def plain(problem: str) -> str:
    """The text with one spelling for each sign: `a/b`, `*`, `÷`, `-`, `%`; without LaTeX's $."""
    for pattern, spelling in _SPELLINGS:
        problem = pattern.sub(spelling, problem)
    return problem


# -- forms: between two characters that do not go on with the expression -------------------------

_BEFORE, _AFTER = r"(?<![\d.,/*+÷a-z-])(?<![*+÷/-]\s)", r"(?![\d/*÷%a-z]|[.,]\d|\s*[*+÷/-])"


def _form(pattern: str) -> re.Pattern[str]:
    """`N` stands for a whole number, `F` for a fraction of two; spaces may stand anywhere."""
    parts = pattern.replace("F", "N/N").split(" ")
    return re.compile(_BEFORE + r"\s*".join(parts).replace("N", r"(\d+)") + _AFTER)


def _without_carry(a: Fraction, b: Fraction) -> int:
    columns, place, x, y = 0, 1, int(a), int(b)
    while x or y:
        columns += place * ((x % 10 + y % 10) % 10)
        x, y, place = x // 10, y // 10, place * 10
    return columns


def _smaller_from_larger(a: Fraction, b: Fraction) -> int:
    columns, place, x, y = 0, 1, int(a), int(b)
    while x or y:
        columns += place * abs(x % 10 - y % 10)
        x, y, place = x // 10, y // 10, place * 10
    return columns


def _difference(a: Fraction, b: Fraction) -> Fraction:
    if a < b:
        raise ZeroDivisionError  # no exercise that the rule speaks of
    return a - b


def _add(a: Fraction, b: Fraction) -> Fraction:
    return a + b


_X = r"[a-z]"

MALRULES: dict[str, Malrule] = {
    rule.name: rule
    for rule in (
        Malrule(
            name="forgets_carry",
            topic="arithmetic",
            statement="When you add numbers column by column and a column comes to ten or more, "
            "you write its last digit and carry nothing to the next column.",
            form=_form(r"N \+ N"),
            wrong=_without_carry,
            right=_add,
        ),
        Malrule(
            name="smaller_from_larger",
            topic="arithmetic",
            statement="When you subtract column by column, you always take the smaller digit from "
            "the larger one, whichever of them stands on top. You never borrow.",
            form=_form("N - N"),
            wrong=_smaller_from_larger,
            right=_difference,
        ),
        Malrule(
            name="left_to_right",
            topic="arithmetic",
            statement="You work out every calculation strictly from left to right. You do not "
            "believe that multiplication comes before addition.",
            form=_form(r"N \+ N \* N"),
            wrong=lambda a, b, c: (a + b) * c,
            right=lambda a, b, c: a + b * c,
        ),
        Malrule(
            name="times_means_plus",
            topic="arithmetic",
            statement="You read the multiplication sign as if it said to add the two numbers.",
            form=_form(r"N \* N"),
            wrong=_add,
            right=lambda a, b: a * b,
        ),
        Malrule(
            name="adds_across",
            topic="fractions",
            statement="To add two fractions you add the two numerators, and you add the two "
            "denominators. You see no need for a common denominator.",
            form=_form(r"F \+ F"),
            wrong=lambda a, b, c, d: (a + c) / (b + d),
            right=lambda a, b, c, d: a / b + c / d,
        ),
        Malrule(
            name="keeps_denominator",
            topic="fractions",
            statement="To multiply two fractions with the same denominator you multiply the "
            "numerators and keep the denominator, as in addition.",
            form=re.compile(_BEFORE + r"(\d+)/(\d+)\s*\*\s*(\d+)/(?=\2(?!\d))(\d+)" + _AFTER),
            wrong=lambda a, b, c, d: a * c / b,
            right=lambda a, b, c, d: a * c / (b * d),
        ),
        Malrule(
            name="divides_without_inverting",
            topic="fractions",
            statement="To divide by a fraction you multiply by it, numerator by numerator and "
            "denominator by denominator. You turn nothing over.",
            form=_form("F ÷ F"),
            wrong=lambda a, b, c, d: a * c / (b * d),
            right=lambda a, b, c, d: a * d / (b * c),
        ),
        Malrule(
            name="keeps_sign",
            topic="equations",
            statement="When you bring a number to the other side of an equation it keeps its sign: "
            "what was added on the left is added on the right.",
            form=_form(rf"{_X} \+ N = N"),
            wrong=lambda a, b: b + a,
            right=lambda a, b: b - a,
        ),
        Malrule(
            name="subtracts_coefficient",
            topic="equations",
            statement="To get rid of a number that multiplies the unknown you subtract it from the "
            "other side. You do not divide.",
            form=_form(rf"N(?: \*)? {_X} = N"),
            wrong=lambda a, b: b - a,
            right=lambda a, b: b / a,
        ),
        Malrule(
            name="distributes_to_first",
            topic="equations",
            statement="When a number stands before a bracket you multiply only the first thing in "
            "the bracket by it. The second one stays as it is.",
            form=_form(rf"N(?: \*)? \( {_X} \+ N \) = N"),
            wrong=lambda a, b, c: (c - b) / a,
            right=lambda a, b, c: c / a - b,
        ),
        Malrule(
            name="percent_divides",
            topic="percentages",
            statement="To find so many percent of a number you divide the number by the "
            "percentage, since ten percent is a division by ten.",
            form=_form("N % of N"),
            wrong=lambda p, a: a / p,
            right=lambda p, a: a * p / 100,
        ),
        Malrule(
            name="percent_is_amount",
            topic="percentages",
            statement="A rise of so many percent means to you that this very number is added: "
            "20 percent more is 20 more.",
            form=re.compile(
                r"(?:increase|raise)d?\s+(\d+)\s+by\s+(\d+)\s*%(?![^.?!]*\bthen\b)", re.IGNORECASE
            ),
            wrong=_add,
            right=lambda a, p: a * (100 + p) / 100,
        ),
        Malrule(
            name="percent_off_amount",
            topic="percentages",
            statement="A fall of so many percent means to you that this very number is taken away: "
            "20 percent less is 20 less.",
            form=re.compile(
                r"(?:decrease|reduce|lower)d?\s+(\d+)\s+by\s+(\d+)\s*%(?![^.?!]*\bthen\b)",
                re.IGNORECASE,
            ),
            wrong=lambda a, p: a - p,
            right=lambda a, p: a * (100 - p) / 100,
        ),
    )
}


def load_malrule(name: str, setting: str) -> Malrule:
    """The rule of that name, or `module:name`.  Raises ConfigError naming `setting`."""
    if is_function(name):
        found = load_function(name, setting)
        if not isinstance(found, Malrule):
            raise ConfigError(f"{setting}: {name} is no Malrule (utils/students/malrules.py)")
        return found
    if name not in MALRULES:
        raise ConfigError(f"{setting}: no rule is called {name}; there are {', '.join(MALRULES)}")
    return MALRULES[name]
