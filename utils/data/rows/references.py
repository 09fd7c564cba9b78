r"""The reference answer in a cell: after `####`, in the last box, after "answer is", in a list.

A reference that no student could ever reach is refused here and not rewarded 0 in silence: a text
that says "proof", a whole solution that names no answer, what `is_correct` would not accept.
"""

from __future__ import annotations

import html
import re
from itertools import pairwise
from typing import Any

from utils.answers.equality import is_correct, last_boxed
from utils.data.rows.bad_rows import BadRow
from utils.data.rows.cells import structured, text_of
from utils.data.rows.escapes import refuse_doubtful
from utils.data.rows.messages import describe, last_reply, message_list
from utils.thinking import HOSTED

LONGEST = 25, 12  # words of a reference on one line, on several: nobody repeats a longer one
PLACEHOLDERS = frozenset(
    {
        *("proof", "see proof", "qed", "q.e.d", "see solution", "see above"),
        *("notfound", "not found", "not available", "not provided", "missing", "unknown"),
        *("no answer", "no final answer", "none", "null", "nil", "nan", "nat", "n/a", "na"),
        *("<na>", "tbd", "tba", "todo", "unanswerable", "unsolved", "not given"),
        *("proof omitted", "see the solution", "see solutions", "see the proof"),
        *("no answer provided", "no answer given", "answer not provided"),
        *("#n/a", "#ref!", "#div/0!", "#value!", "#name?", "#num!", "#null!"),  # of Excel
    }
)
_NO_WORDS = re.compile(r"[\s?.…_*/()\[\]{}$\u2010-\u2015-]*")
_TAGS = re.compile(r"</?(?:p|div|span|b|i|em|strong|answer|solution)(?:\s[^<>]*)?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|nbsp|#\d{1,5});")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")  # is_correct accepts itself: tests say so
_WORD = re.compile(r"[^\W\d_]{2,}")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_MARK = re.compile(r"(?P<before>.*)####[ \t]*(?P<answer>[^\n]*)\s*", re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?(?![a-zA-Z])")
_BETWEEN = re.compile(
    r"(?:[\s$,;&(){}]|\\[()\[\],;!]|\\q?quad|\\text|\band\b|\bor\b)*"
    r"(?P<name>[a-zA-Z](?:_\w)?\s*=\s*)?"
)
_NAME = re.compile(r"(?<![\w\\])(?P<name>[a-zA-Z](?:_\w)?\s*=)\s*$")
_SAYS = re.compile(
    r"(?:\b(?:answers?|antwort|respuesta|r[ée]ponse|risposta|resposta|ответ)\b"
    r"(?:\s+(?:to|for|of)\b[^.\n]{0,60}?)?(?:[\s*_]*[:=\uff1a]"
    r"|\s+(?:(?:will|must|should|would)\s+)?(?:is|are|was|be|equals|ist|es|est|è|é)\b\s*:?)"
    r"|答案(?:是|为|為|[:\uff1a])+"
    r"|^\W*(?:final\s+)?answer[\s*_:]*\n)"
    r"(?:\s*(?:therefore|thus|then|simply|just)\b)?[\s*_]*"
    r"(?!not\b)(?=(?P<answer>\\\[[^\[\]]*\\\]|\$\$[^$]*\$\$|\S[^\n]*))",
    re.IGNORECASE | re.MULTILINE,
)
_LETTER = re.compile(  # A: 7, also under its Q:
    r"(?:Q\s*:.*\n)?\s*(?:A\s*:|Ans\s*[:.])\s*(?P<answer>[-$\d\\][^\n:]*)", re.IGNORECASE
)
_SAID = re.compile(r"\.(?=\s+[A-Z(]|\s*$)|。|,?\s(?:since|because|which|as (?:required|desired))\b")
_BARE = re.compile(r"\$?\s*-?\s*\$?[\d,]*\.?\d+(?:\s*/\s*\d+)?\s*(?:\\?%)?\s*\$?")


def read_reference(value: Any, column: str = "answer") -> tuple[str, str]:
    """(reference, the solution around it or nothing) of a cell of this column.

    Raises BadRow; for a placeholder such as `proof` a marked one.
    """
    if isinstance(value, str) and isinstance(listed := structured(value.strip()), list | dict):
        value = listed if _is_quoted(value, listed) else value
    if isinstance(value, dict):
        if "ground_truth" not in value:
            raise BadRow(
                "with an answer of several fields",
                f"{describe(value)}; name one, as {column}.{next(iter(value), 'field')}",
            )
        return read_reference(value["ground_truth"], f"{column}.ground_truth")
    if messages := message_list(value):
        value = last_reply(messages)
    if isinstance(value, list):
        return _listed(value), ""
    given = value if isinstance(value, str) else text_of(value)
    reference, solution = final_answer(given)
    refuse_doubtful(given if reference == given.strip() else reference)
    if _is_placeholder(reference):
        raise BadRow(
            "with a placeholder for an answer", f"the answer is {reference[:40]!r}", marked=True
        )
    return reference, solution


def _is_quoted(text: str, value: Any) -> bool:
    """Whether a list in text is one of texts or messages; [1, 2] is an interval or a list."""
    return isinstance(value, dict) or (
        bool(value) and all(isinstance(entry, str | dict) for entry in value)
    )


def _listed(entries: list[Any]) -> str:
    if not entries or any(isinstance(entry, list | dict) for entry in entries):
        raise BadRow("with a malformed answer", f"{describe(entries)}, not of texts or numbers")
    return ", ".join(read_reference(entry)[0] for entry in entries)


def _is_placeholder(reference: str) -> bool:
    bare = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", reference).strip(" .()[]$\"'*")
    if bare == "Na":  # sodium
        return False
    return bare.casefold() in PLACEHOLDERS or _NO_WORDS.fullmatch(reference) is not None


def final_answer(text: str) -> tuple[str, str]:
    """(answer, solution): what a text says in the end, and the text where it says more.

    Raises BadRow for a text that says nothing, or much and no answer.
    """
    if _TAGS.search(text) or _ENTITY.search(text):
        text = html.unescape(_TAGS.sub(" ", text))
    whole = HOSTED.hide(text).strip()
    if not whole:
        raise BadRow("without an answer", "no answer")
    if (marked := _MARK.fullmatch(whole)) and not _BOX.search(marked["before"]):
        if not marked["answer"].strip():
            raise BadRow("without an answer", "no answer after ####")
        return _inner(marked["answer"].strip()), marked["before"].strip()
    answer = _inner(whole)
    if answer != whole:
        return answer, whole
    *_, last = whole.splitlines()
    words = _WORD.findall(_COMMAND.sub(" ", whole))
    if last != whole and len(words) > 2 and _BARE.fullmatch(last.strip()):
        return last.strip(), whole
    if len(words) > LONGEST[last != whole]:
        raise BadRow(
            "with a solution that names no answer",
            f"{len(words)} words, and no box, #### or 'the answer is'",
        )
    return whole, ""


def _inner(text: str) -> str:
    """What stands in the last box, or after "answer is"; else the text as it is."""
    if (boxed := _boxed(text)) is not None:
        return boxed
    *_, said = [_LETTER.fullmatch(text), *_SAYS.finditer(text)]
    if said is None:
        return text
    answer = _SAID.split(said["answer"], maxsplit=1)[0].strip(" \t*_")
    return answer if answer and answer.count("{") == answer.count("}") else text


def _boxed(text: str) -> str | None:
    """The last box with anything in it, and those before it that are one answer with it:
    `\\boxed{1}` and `\\boxed{2}` is `1, 2`.  None without a box.
    """
    starts = [box.start() for box in _BOX.finditer(text)]
    if not starts:
        return None
    found: list[tuple[str, str, str]] = []  # (text before, name, content) of each full box
    before = text[: starts[0]]
    for start, end in pairwise([*starts, len(text)]):
        part = text[start:end]
        content = last_boxed(part)
        if not content:
            before += part
            continue
        named = _NAME.search(before)
        found.append((before, named["name"] if named else "", content))
        end_of_box = part.index(content, len("\\box")) + len(content)
        before = part[end_of_box:].lstrip("}")
    if not found:
        raise BadRow("without an answer", "an empty or unfinished box")
    joined = [found[-1]]
    while len(joined) < len(found) and _BETWEEN.fullmatch(joined[0][0]):
        joined.insert(0, found[-len(joined) - 1])
    names = [name for _, name, _ in joined]
    contents = [content for _, _, content in joined]
    if len(set(contents)) == 1 and not all(names):
        return contents[0]
    if len(joined) > 1 and all(names):
        contents = [f"{name}{content}" for name, content in zip(names, contents, strict=True)]
    return ", ".join(contents)


def refuse_unreachable(reference: str) -> None:
    """Raises BadRow where not even the reference itself, in a box, would be accepted."""
    if _NUMBER.fullmatch(reference) or is_correct(f"\\boxed{{{reference}}}", reference):
        return
    raise BadRow(
        "with an answer that cannot be compared",
        f"no solution could ever equal {reference[:60]!r}",
    )
