"""Judges' verdicts, read strictly.

A verdict is OK only where the answer says so and nothing in it says otherwise.  A REJECT is kept
through broken JSON; two verdicts that disagree are none.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from utils.verdicts.seams import loose_decision, loose_reasoning
from utils.verdicts.verdict_text import (
    as_decision,
    contradicted,
    plain_decision,
    repaired,
    verdicts_in,
    whole_objects,
    without_thinking,
)
from utils.whole_text import whole_text


class Verdict(BaseModel):
    """What one judge decided, and why; evidence is quoted as the judge wrote it."""

    model_config = ConfigDict(frozen=True)

    decision: Literal["OK", "REJECT"]
    reasoning: str = ""


# For structured outputs: the reasons come before the decision that they lead to.
VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "decision": {"type": "string", "enum": ["OK", "REJECT"]},
    },
    "required": ["reasoning", "decision"],
    "additionalProperties": False,
}


#: `"decision": "OK" or "REJECT"`: the form that was asked for, said again, decides nothing
_EITHER = re.compile(
    r"""(\bdecision\b["']?\s*:)\s*(?P<q>["']?)(?:OK|REJECT)(?P=q)\s*(?:or\b|/|\|)\s*"""
    r"""(?P=q)(?:OK|REJECT)\b(?P=q)""",
    re.IGNORECASE,
)


def parse_verdict(text: str) -> Verdict | None:
    """The one verdict of a judge's answer, or None where it has none, or contradicts itself.

    Read are, in this order: whole JSON objects (with prose, fences or thinking around them, LaTeX
    backslashes unescaped, lower case, a tool call around them); an object that is broken, not
    quite JSON, or cut off after its decision; an answer without any object whose first or last
    line is "Decision: REJECT".  Never raises.
    """
    text = _EITHER.sub(r"\1 null", text)
    text = repaired(without_thinking(text.lstrip("\ufeff\u200b").strip()))
    objects, broken = whole_objects(text)
    if broken:
        return _verdict(loose_decision(text), loose_reasoning(text))
    said = [(o, verdict) for o in objects for verdict in verdicts_in(o.fields)]
    if not said:
        return None if objects else _verdict(plain_decision(text), text)
    if len({decision for _, (decision, _) in said}) > 1:
        return None
    decision, reasoning = said[0][1]
    if decision == "OK" and as_decision(reasoning) == "REJECT":
        return None  # its reason is the other verdict
    if against := contradicted(text, [o for o, _ in said], decision):
        return _verdict("REJECT" if against == "REJECT" else None, text)
    return _verdict(decision, reasoning)


def _verdict(decision: str | None, reasoning: object) -> Verdict | None:
    if decision is None:
        return None
    if not isinstance(reasoning, str):
        reasoning = json.dumps(reasoning, ensure_ascii=False)
    return Verdict.model_validate(
        {"decision": decision, "reasoning": whole_text(reasoning).strip()}
    )
