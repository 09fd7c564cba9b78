"""What stands beside an answer: the letter of a choice, the condition or remark after it."""

from __future__ import annotations

import re

_CHOICE = re.compile(
    r"(?i:⟨?\s*(?:option|choice|answer)\s+)?[(⟨\s]*([A-J])\s*(?:⟩?\s*\)\s*⟩?|[.:]\s*⟩?(?=\s|$)|⟩?$)"
    r"(?!\s*(?:,|⟨?\s*(?:and|or)(?![A-Za-z])))\s*(.*)",
    re.DOTALL,
)
_OPENING = r"[\s,;(]*"
_WORDS = (
    r"(?:for|where|with|since|because|as|such|by|namely|so|is (?:the|our|an?)|hence|therefore"
    r"|i\.e\.|the (?:smallest|largest|least|greatest|only))"
)
_REMARK = re.compile(
    rf"(?<=[\w)}}\]⦄%!]){_OPENING}(?:⟨\s*\(?\s*{_WORDS}(?![A-Za-z])|(?<=[\s,;(]){_WORDS}(?![A-Za-z])).*"
    rf"|(?<=[\w)}}\]⦄%!])\s*[,;(]\s*[a-z](?:\s*,\s*[a-z])*\s*\\in(?![a-z]).*"
    r"|(?<=[\w)}\]⦄%!])\s+[a-z]\s*\\in(?![a-z]).*",
    re.DOTALL,
)
_DOMAINS = {
    "Z": r"\binteger|\\in\s*\{?\s*Z|\bwhole number",
    "N": r"\b(?:natural|positive integer|non-?negative integer)|\\in\s*\{?\s*N",
    "Q": r"\brational|\\in\s*\{?\s*Q",
    "R": r"\breal|\\in\s*\{?\s*R",
    "C": r"\bcomplex|\\in\s*\{?\s*C",
}


def split_remark(text: str) -> tuple[str, str]:
    """(answer, remark) of a cleaned text: 6 (since 2 x 3 = 6); x = k pi for any integer k."""
    remark = _REMARK.search(text)
    return (text[: remark.start()].rstrip(), remark[0]) if remark else (text, "")


def domain_of(remark: str) -> str:
    """What a condition ranges over: Z, N, Q, R or C; "" where it does not say."""
    found = [name for name, pattern in _DOMAINS.items() if re.search(pattern, remark)]
    return "N" if "N" in found else found[0] if found else ""


def split_choice(text: str) -> tuple[str, str]:
    """("B", "12") of a cleaned (B) 12, B. 12, Option B: 12; ("", text) of what is no choice."""
    choice = _CHOICE.fullmatch(text)
    return (choice[1], choice[2].strip(" ⟨⟩")) if choice else ("", text)
