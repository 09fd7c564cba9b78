"""One spelling for what answers spell in many ways: LaTeX dress off, Unicode to LaTeX, thousands
joined, words marked, units told from numbers.

In cleaned text ⟨...⟩ holds what stood in \\text{} and ⦃...⦄ is a set's braces; single braces only
group, as in TeX.
"""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
        "÷": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ",
        "°": r"^\circ ", "√": r"\sqrt ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ",
        "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "≈": r"\approx ", "θ": r"\theta ",
        "α": r"\alpha ", "β": r"\beta ", "²": "^2", "³": "^3", "⁴": "^4", "′": "'", "’": "'",
        "⟨": "(", "⟩": ")", "⦃": "{", "⦄": "}", "⁄": "/", "¢": " cents",
    }
)  # fmt: skip
PLAIN = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_SPACED = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\.?")
_DRESS = re.compile(
    r"\\(?:displaystyle|textstyle|limits|quad|qquad|hfill|hline|phantom\{[^{}]*\}|hspace\{[^{}]*\}"
    r"|rm|bf|it)(?![a-zA-Z])|(?<!\\)\\[;:!> ]|~|\*\*|\\\(|\\\)|(?<!\\)\\\[|(?<!\\)\\\]|\$"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,|\\!|,\\!|\{\\,\}|\\ |(?<=\d)[\u00a0\u202f\u2009])"
                        r"(?=\d{3}(?!\d))")  # fmt: skip
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?!\d|,\d|\s*/)")
_WORDS = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up|md)?|mathrm|mbox|hbox|textnormal)\s*\{([^{}]*)\}"
)
_FONTS = re.compile(r"\\(?:mathbf|mathit|mathsf|mathbb|boldsymbol|bm|boxed|fbox)\s*\{([^{}]*)\}")
_FRACTIONS = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*(?=[{\\])"), r"\\frac{\1}"),
    (re.compile(r"\\frac\s*(\{[^{}]*\})\s*(\d)"), r"\\frac\1{\2}"),
    (re.compile(r"\\sqrt\s*(\d+)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\a-zA-Z])sqrt\s*(?=\()"), r"\\sqrt"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])"), r"\\pi "),
    (re.compile(r"\\(?:leq|leqslant|le)(?![a-zA-Z])|<="), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant|ge)(?![a-zA-Z])|>="), r"\\ge "),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\cdotp(?![a-zA-Z])"), r"\\cdot "),
    (re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)"), r"\\times "),
    (re.compile(r"\*\*"), "^"),
)


def clean(text: str) -> str:
    """The one spelling of an answer's text (a few thousand characters at most)."""
    if PLAIN.fullmatch(text):
        return text
    if not text.isascii():
        text = _ascii(text)
    text = _THOUSANDS.sub("", text)
    text = text.replace(r"\,", " ").replace(r"\$", "").replace(r"\%", "%").replace(r"\#", "#")
    text = text.replace(r"\{", "⦃").replace(r"\}", "⦄")
    text = re.sub(r"\\[lr]brace(?![a-zA-Z])", lambda m: "⦃⦄"["r" in m[0][:2]], text)
    text = _DRESS.sub(" ", _SPACED.sub("", text))
    for _ in range(3):
        text = _FONTS.sub(r"\1", _WORDS.sub(_marked, text))
    for pattern, new in _FRACTIONS:
        text = pattern.sub(new, text)
    text = re.sub(r"^\s*(?:\\approx|about|approximately|approx\.?|answer\s*:)\s*", "", text,
                  flags=re.IGNORECASE)  # fmt: skip
    return re.sub(r"\s+", " ", text).strip().rstrip(".,;").strip()


def join_thousands(text: str) -> str:
    """A cleaned text with 1,000 and 1 000 as 1000 throughout."""
    return _GROUPS.sub(lambda m: re.sub("[, ]", "", m[0]), text)


def _ascii(text: str) -> str:
    text = _VULGAR.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]), text)
    text = unicodedata.normalize("NFKC", text.translate(_UNICODE)).translate(_UNICODE)
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def _marked(match: re.Match[str]) -> str:
    words = match[1].strip()
    if not words:
        return " "
    return f" {words} " if words[0].isdigit() or words[0] in "-+" else f" ⟨{words}⟩ "


def same_text(text: str) -> str:
    """What two cleaned texts that say the same must share: no spaces but those between digits."""
    bare = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.translate({ord("⟨"): None, ord("⟩"): None}))
    return re.sub(r"\{(\w)\}", r"\1", bare)


# --- units -----------------------------------------------------------------------------------

_UNIT_TABLE = (
    "mm millimeter millimetre | cm centimeter centimetre | dm | m meter metre | km kilometer "
    "kilometre | in inch inche | ft foot feet | yd yard | mi mile | s sec second | min minute | "
    "h hr hour | day | week | month | year yr | g gram | kg kilogram | mg milligram | lb pound | "
    "oz ounce | l liter litre | ml milliliter millilitre | gal gallon | dollar usd | cent | "
    "euro eur | deg degree | rad radian | ton tonne | mph | kph | am a.m | pm p.m"
)
_UNITS = {
    spelling: names.split()[0]
    for names in _UNIT_TABLE.split("|")
    for name in names.split()
    for spelling in (name, f"{name}s")
}
_COMPOUND = {"mph": "mi/h", "kph": "km/h"}
_POWERS = {"square": "2", "sq": "2", "squared": "2", "cubic": "3", "cu": "3", "cubed": "3"}
_NOT_UNITS = frozenset(
    """sin cos tan cot sec csc log ln exp sqrt pi mod min max gcd lcm lim det and or
    """.split()  # noqa: SIM905
)
_TAIL = re.compile(
    r"(?:⟨(?P<marked>[^⟨⟩]*)⟩|(?P<plain>(?<![A-Za-z\\])[A-Za-z][A-Za-z.]*))"
    r"\s*(?:\^\s*\{?\s*(?P<power>[23])\s*\}?)?\s*$"
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?\s*(?:[CF]\b|⟨[CF]⟩)?\s*$")


class Quantity(NamedTuple):
    """A cleaned text without its unit; the unit is "" where none is known."""

    core: str
    unit: str
    percent: bool


@lru_cache(maxsize=8192)
def split_unit(text: str) -> Quantity:
    """Take units, percent signs, currencies and counted things off a cleaned text's end."""
    text = re.sub(r"^(?:[€£¥₹]|USD|⟨[^⟨⟩\d]*⟩(?=\s*[-+.\d\\]))\s*", "", text)
    text = re.sub(r"\s*[€£¥₹]$", "", text)
    percent = re.fullmatch(r"(.*?)\s*(?:%|⟨?\s*per\s?cent(?:age)?\s*⟩?)", text, re.IGNORECASE)
    if percent:
        return Quantity(percent[1].strip(), "", True)
    if degrees := _DEGREES.search(text):
        return Quantity(text[: degrees.start()].strip(), "deg", False)
    words: list[str] = []
    while tail := _TAIL.search(text):
        found = _words(text, tail)
        if found is None:
            break
        words[:0] = found
        text = text[: tail.start()].rstrip().removesuffix("/").rstrip()
    return Quantity(text, _unit_name(words), False)


def _words(text: str, tail: re.Match[str]) -> list[str] | None:
    """The words of a tail, or None where it is no unit but part of the expression."""
    before = text[: tail.start()]
    if not re.search(r"\d|\\pi", before):
        return None
    words = re.findall(r"[a-z.]+", (tail["marked"] or tail["plain"]).lower())
    spaced = before[-1].isspace() or bool(re.search(r"[A-Za-z⟩]\s*/$", before))
    if tail["plain"] and not _is_plain_unit(words[0], spaced):
        return None
    return words + ([f"^{tail['power']}"] if tail["power"] else [])


def _unit_name(words: list[str]) -> str:
    """The known units among the words, with their powers: "square cm" is cm2, as is "cm ^2"."""
    units: list[str] = []
    ahead = ""
    for word in words:
        power = _POWERS.get(word, word[1:] if word.startswith("^") else "")
        if word in _UNITS:
            units.append(_COMPOUND.get(_UNITS[word], _UNITS[word]) + ahead)
        elif units and word.endswith(("ed", "2", "3")) and power:
            units[-1] += power
        ahead = power
    return "/".join(units)


def _is_plain_unit(word: str, spaced: bool) -> bool:
    """Whether a word outside \\text{} can be a unit: one letter, and words that are not in the
    table, only after a space; 5m is five times m."""
    if word in _NOT_UNITS and not (word == "min" and spaced):
        return False
    if word in _UNITS:
        return spaced or len(word) > 1
    return spaced and (word in _POWERS or (len(word) > 2 and bool(re.search("[aeiouy]", word))))
