"""One spelling for what answers spell in many ways: LaTeX dress off, Unicode to LaTeX, plain-text
functions to LaTeX, thousands joined, words marked.

In cleaned text ⟨...⟩ holds what stood in \\text{} and ⦃...⦄ is a set's braces; single braces only
group, as in TeX.
"""

# ruff: noqa: RUF001  (look-alike characters are this module's subject)

from __future__ import annotations

import re
import unicodedata

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
        "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ",
        "°": r"^\circ ", "√": r"\sqrt ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ",
        "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "≈": r"\approx ", "θ": r"\theta ",
        "α": r"\alpha ", "β": r"\beta ", "²": "^2", "³": "^3", "⁴": "^4", "′": "'", "’": "'",
        "⟨": "(", "⟩": ")", "⦃": "{", "⦄": "}", "⁄": "/", "¢": " cents",
        "∶": ":", "、": ", ", "或": " or ", "和": " and ",
    }
)  # fmt: skip
PLAIN = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
DOLLAR = "＄"
_CURRENCY = re.compile(r"\$(?=\s*-?[\d.])|(?<=\d)\s*\$")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
# what is left of \frac, \text ... where a string literal or JSON read \f, \t, \b as one character
_EATEN = re.compile(r"[\t\f\x08]?(?<![A-Za-z\\])(rac|ext|inom|oxed)(?=\s*[{\d])")
_EATEN_FULL = {"rac": r"\frac", "ext": r"\text", "inom": r"\binom", "oxed": r"\boxed"}
# what stands at an answer's end and says nothing: a proof's end, an equation's number
_AT_END = re.compile(
    r"(?<=\S)\s*(?:\\q?quad|\\ )?\s*(?:\\(?:blacksquare|square|checkmark|qedsymbol)"
    r"|\\(?:tag|label)\s*\{[^{}]*\}|\\\\)\s*$"
)
_REALS = re.compile(r"\\mathbb\s*\{?\s*R\s*\}?\s*$")
_CONTINENTAL = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+)(?![\d.,])")
_THOUSANDS = re.compile(
    r"(?<=\d)(?:,?\\!\s?|\s?\{\s?,\s?\}|\\,|\{\\,\}|\\ |[\u00a0\u202f\u2009'])(?=\d{3}(?!\d))"
)
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?!\d|,\d|\s*/)")
_WORDS = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up|md)?|math(?:rm|it|sf)|mbox|hbox|operatorname\*?)"
    r"\s*\{([^{}]*)\}"
)
_FONTS = re.compile(
    r"\\(?:mathbf|mathbb|boldsymbol|bm|boxed|fbox|underline|emph|textcolor\s*\{[^{}]*\})(?![a-z])"
)
_FUNCTIONS = r"arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt"
_UPRIGHT = re.compile(rf"[eid]|{_FUNCTIONS}|lcm|gcd|max|mod|det")
_SPELLINGS = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"(?<!\\)\\\\(?=[A-Za-z])(?!.*\\end\{)", r"\\"),
        (r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\.?", ""),
        (r"(?<=\d)\{,\}(?=\d)", "."),
        (r"\\langle(?![a-z])", "("),
        (r"\\rangle(?![a-z])", ")"),
        (r"\{\s*([:,.])\s*\}|\\!", r"\1"),
        (r"\\(?:displaystyle|textstyle|limits|q?quad|hfill|hline|phantom\{[^{}]*\}|hspace\{[^{}]*\}"
         r"|color\{[^{}]*\}|rm|bf|it|tiny|small|normalsize|[lL]arge|LARGE|[hH]uge)(?![a-zA-Z])"
         r"|(?<!\\)\\[;:> ]|~|`|^\s*\*\*|\*\*\s*$|\\\(|\\\)|(?<!\\)\\\[|(?<!\\)\\\]", " "),
        (r"\\[lr]?[vV]ert(?![a-zA-Z])|\\\|", "|"),
        (r"(^|\\cup|\\in|=)\s*\](?=[^\]\[]+[,;][^\]\[]+[\]\[])", r"\1("),
        (r"([\[(][^\]\[()]*[,;][^\]\[()]*)\[(?=\s*(?:$|\\cup|\\cap))", r"\1)"),
        (r"\*\*", "^"),
        (r"\.\.\.", r"\\ldots "),
        (r"(?<=\d)/-", ""),
        (r"\(\s*⟨([^⟨⟩]*)⟩\s*\)", r"⟨\1⟩"),
        (r"⟨([^⟨⟩]*?)\s+(and|or)⟩", r"⟨\1⟩ \2 "),
        (r"\\frac\s*\{\s*⟨([^⟨⟩]*)⟩\s*\}\s*\{\s*⟨([^⟨⟩]*)⟩\s*\}", r"⟨\1/\2⟩"),
        (r"\\dot\s*\{(\d)\}(\d*)\s*\\dot\s*\{(\d)\}", r"\\overline{\1\2\3}"),
        (r"_\{\s*1\s*[,;/]\s*2\s*\}(?=\s*=)", ""),
        (r"(?i)^\s*⟨?no solutions?⟩?\s*$", r"\\emptyset "),
        (r"(?<=\d)\s*(?:R|⟨?\s*(?:R|remainder)\s*⟩?)\s*(?=\d)", "r"),
        (r"\*|\\(?:cdotp|ast)(?![a-zA-Z])", r"\\cdot "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*(?=[{\\])", r"\\frac{\1}"),
        (r"\\frac\s*(\{[^{}]*\})\s*(\d)", r"\\frac\1{\2}"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (rf"(?<![\\a-zA-Z])({_FUNCTIONS})(?=\s*(?:[(\d]|\\))", r"\\\1"),
        (r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi "),
        (r"(?<![\\a-zA-Z])infinity(?![a-zA-Z])", r"\\infty "),
        (r"\\sqrt\s*(\d+)", r"\\sqrt{\1}"),
        (r"\\(?:leqslant|leq|le)(?![a-zA-Z])|<=", r"\\le "),
        (r"\\(?:geqslant|geq|ge)(?![a-zA-Z])|>=", r"\\ge "),
        (r"\\neq(?![a-zA-Z])|!=", r"\\ne "),
        (r"\\lg(?![a-zA-Z])", r"\\log_{10} "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times "),
        (r"\\overline\s*\{([A-Z]{2,})\}", r"\1"),
        (r"(?<=\d)\s*(?:\^\s*\{?\s*)?(?:⟨(?:st|nd|rd|th)⟩|(?:st|nd|rd|th)(?![A-Za-z]))\s*\}?", ""),
        (r"^\s*(?:\\approx|(?i:about|approximately|approx\.?))\s*", ""),
        (r"^\s*(?i:(?:the )?(?:final )?answer(?:\s*:| is))\s*", ""),
        (r"(?<=[\d})])\s*\\approx(?![a-zA-Z]).*", ""),
        (r"\\(?:approx|equiv)(?![a-zA-Z])", "="),
        (r"\s+", " "),
    )
)  # fmt: skip
_WHOLE_WORD = re.compile(r"⟨([^⟨⟩]*)⟩")
_ANSWER = re.compile(r"(?i)⟨(?:final )?answer\s*:⟩")


def clean(text: str) -> str:
    """The one spelling of an answer's text (a few thousand characters at most)."""
    if PLAIN.fullmatch(text):
        return text
    text = _EATEN.sub(lambda m: _EATEN_FULL[m[1]], text)
    if not text.isascii():
        text = _ascii(text)
    text = _AT_END.sub("", _THOUSANDS.sub("", text))
    text = _CONTINENTAL.sub(lambda m: m[0].replace(".", "").replace(",", "."), text)
    text = _REALS.sub(r"(-\\infty, \\infty)", text)
    text = text.replace(r"\$", DOLLAR)
    if text.count("$") % 2:  # no pair of math signs: one of them is a currency
        text = _CURRENCY.sub(DOLLAR, text, count=1)
    text = text.replace("$", " ").replace(r"\,", " ").replace(r"\%", "%").replace(r"\#", "#")
    text = text.replace(r"\{", "⦃").replace(r"\}", "⦄")
    text = re.sub(r"\\[lr]brace(?![a-zA-Z])", lambda m: "⦃⦄"["r" in m[0][:2]], text)
    text = _FONTS.sub(" ", text)
    for _ in range(3):
        text = _WORDS.sub(_marked, text)
    text = _ANSWER.sub("", text)
    if whole := _WHOLE_WORD.fullmatch(text.strip()):
        text = whole[1]
    for pattern, new in _SPELLINGS:
        text = pattern.sub(new, text)
    text = _arguments_in_braces(text).strip(' "').rstrip(".,;").strip()
    text = text[1:-1].strip() if text[:1] == text[-1:] == "'" else text.lstrip("'")
    return text


def join_thousands(text: str) -> str:
    """A cleaned text with 1,000 and 1 000 as 1000 throughout."""
    return _GROUPS.sub(lambda m: re.sub("[, ]", "", m[0]), text)


def same_text(text: str) -> str:
    """What two cleaned texts that say the same must share: no spaces but those between digits."""
    bare = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.translate({ord("⟨"): None, ord("⟩"): None}))
    return re.sub(r"\{(\w)\}", r"\1", bare)


def _ascii(text: str) -> str:
    """Look-alikes and full-width forms as ASCII; letters of other scripts stay."""
    text = _VULGAR.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]), text)
    text = unicodedata.normalize("NFKC", text.translate(_UNICODE)).translate(_UNICODE)
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def _marked(match: re.Match[str]) -> str:
    words = match[1].strip()
    if not words:
        return " "
    if _UPRIGHT.fullmatch(words):
        return words if len(words) == 1 else f"\\{words} "
    return f" {words} " if re.match(r"[-+]?\s*[\d.]", words) else f" ⟨{words}⟩ "


def _arguments_in_braces(text: str) -> str:
    r"""\sqrt(...) as \sqrt{...} and x^(...) as x^{...}, whatever stands inside."""
    while (root := re.search(r"(\\sqrt|\^)\s*\(", text)) is not None:
        depth, end = 1, root.end()
        while end < len(text) and depth:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        if depth:
            return text
        text = f"{text[: root.start()]}{root[1]}{{{text[root.end() : end - 1]}}}{text[end:]}"
    return text
