r"""LaTeX whose backslashes were read as escapes: `\frac` became a form feed and `rac`.

JSON reads \b \f \n \r \t as control characters, and Python \a \v too.  Where what follows can only
be the rest of a command, the command is put back; where it cannot be told, the row is refused.
"""

from __future__ import annotations

import re
from typing import Any

from utils.data.rows.bad_rows import BadRow

_LETTER = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
# Control character -> commands that begin with it, where their rest is no word and no line's start.
_COMMANDS = {
    "\a": "alpha angle approx arccos arcsin arctan arg ast",
    "\b": "backslash bar because begin beta bf big Big bigcap bigcup bigg bigl bigr binom bmatrix "
    "bmod boldsymbol bot boxed bullet",
    "\f": "fbox flat forall frac frown",
    "\v": "varepsilon varnothing varphi vartheta vdots vec vee vert",
    "\r": "rangle rbrace rceil rfloor rho right rightarrow rightharpoonup rm",
    "\t": "text textbf textit textrm textstyle tfrac therefore theta tilde times triangle",
    "\n": "nabla neq newline ngeq nleq notin nsubseteq",
}
# ... and where it may be one: "an", "o", "e", "u"
_DOUBTFUL = {
    "\t": "tag tan tanh tau to top",
    "\n": "ne neg nexists ni nmid not nparallel nu",
}
_NEVER_TEXT = "\a\b\f\v"  # before a letter


def _rest_of(commands: str) -> str:
    rests = sorted((command[1:] for command in commands.split()), key=len, reverse=True)
    return f"(?:{'|'.join(rests)})(?![a-zA-Z])"


_LOST = re.compile("|".join(f"{re.escape(c)}(?={_rest_of(n)})" for c, n in _COMMANDS.items()))
_IN_DOUBT = re.compile("|".join(f"{c}(?={_rest_of(names)})" for c, names in _DOUBTFUL.items()))
_FORMULA = re.compile(r"\$[^$\n]*\$")  # where a tab has no other meaning
_UNKNOWN = re.compile(rf"[{_NEVER_TEXT}](?=[a-zA-Z])")


def repaired(value: Any) -> Any:
    """The cell with its commands put back, in every text of a list or mapping.

    Raises BadRow for a control character that stands in no text and begins no known command.
    """
    if isinstance(value, str):
        return _repaired_text(value)
    if isinstance(value, list):
        return [repaired(entry) for entry in value]
    if isinstance(value, dict):
        return {key: repaired(entry) for key, entry in value.items()}
    return value


def _repaired_text(text: str) -> str:
    text = _LOST.sub(_put_back, text)
    text = _FORMULA.sub(lambda formula: _IN_DOUBT.sub(_put_back, formula[0]), text)
    if unknown := _UNKNOWN.search(text):
        raise _lost(text, unknown.start())
    return text


def _put_back(found: re.Match[str]) -> str:
    return "\\" + _LETTER[found[0]]


def refuse_doubtful(answer: str) -> None:
    r"""Raises BadRow where an answer has a tab or newline that may be the head of a command."""
    if doubtful := _IN_DOUBT.search(answer):
        raise _lost(answer, doubtful.start())


def _lost(text: str, at: int) -> BadRow:
    found = re.match(r"[a-zA-Z]*", text[at + 1 :])
    word = _LETTER[text[at]] + (found[0] if found else "")
    return BadRow(
        "with a lost backslash",
        rf"a control character where LaTeX may have said \{word[:20]}; "
        "JSON writes a backslash twice",
    )
