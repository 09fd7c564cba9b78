"""What people said of tutor turns: label files of three layouts, read as one.

mrbench    MRBench's JSON: a history, several tutors' next turns, `Revealing_of_the_Answer`
mathdial   MathDial's JSON Lines: a move for each tutor turn; `telling` is a REJECT
plain      JSON Lines: conversation, problem, answer, turns [[role, text], ...], label OK|REJECT
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from utils.seeding import keyed_rng

Turns = tuple[tuple[str, str], ...]

_SPEAKER = re.compile(r"(?:^|\n)\s*(Tutor|Teacher|Student)\s*:\s*", re.IGNORECASE)
_QUESTION = re.compile(r"question is:\s*(.*)", re.IGNORECASE | re.DOTALL)
_MOVE = re.compile(
    r"\s*(?P<who>[^:\n]{1,40}):\s*(?:\((?P<move>[a-z_ -]+)\)\s*)?(?P<words>.*)", re.S
)
_REVEALS = "Revealing_of_the_Answer"
_CORRECT = "Yes (and the answer is correct)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A conversation up to one tutor turn, and whether people reject that turn.

    `conversation` names the cluster: rows of one are not independent.  `group` is what the file
    says more exactly (MRBench's label, MathDial's move).
    """

    conversation: str
    problem: str
    answer: str
    turns: Turns
    rejected: bool
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The rows of a file that a judge can be asked about, and how many were left out, by reason."""

    name: str
    rows: list[Labelled]
    left_out: Counter[str] = field(default_factory=Counter)

    def sample(self, most: int) -> Labels:
        """At most so many rows, always the same: conversations in a shuffled order, each whole."""
        order = list(dict.fromkeys(row.conversation for row in self.rows))
        keyed_rng("labels", self.name).shuffle(order)
        place = {conversation: number for number, conversation in enumerate(order)}
        rows = sorted(self.rows, key=lambda row: place[row.conversation])[:most]
        rest = Counter({"not in the sample": len(self.rows) - len(rows)})
        return Labels(name=self.name, rows=rows, left_out=self.left_out + rest)


def read_labels(path: Path) -> Labels:
    """The labels of a file, whichever layout it has.  Raises ConfigError naming file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--labels {path}: {error}") from None
    left_out: Counter[str] = Counter()
    rows: list[Labelled] = []
    for place, fields in _entries(path, text):
        try:
            rows += _read(fields, left_out)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"--labels {path}: {place}: {reason}") from None
    if not rows:
        reasons = ", ".join(f"{n} {why}" for why, n in left_out.items())
        raise ConfigError(f"--labels {path}: no labelled turn in it{reasons and ': ' + reasons}")
    return Labels(name=path.name, rows=rows, left_out=left_out)


def _entries(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a JSON array or of JSON Lines, each with where it stands."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"--labels {path}: no JSON: {error}") from None
        yield from ((f"entry {number}", entry) for number, entry in enumerate(found, 1))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError as error:
                raise ConfigError(f"--labels {path}: line {number}: no JSON: {error}") from None


def _read(fields: Mapping[str, Any], left_out: Counter[str]) -> Iterator[Labelled]:
    if "anno_llm_responses" in fields:
        return _mrbench(fields, left_out)
    if "student_incorrect_solution" in fields:
        return _mathdial(fields)
    return iter([_plain(fields)])


def _plain(fields: Mapping[str, Any]) -> Labelled:
    turns = tuple((str(role), str(text)) for role, text in fields["turns"])
    if fields["label"] not in ("OK", "REJECT"):
        raise ValueError(f"label is {fields['label']!r}, not OK or REJECT")
    wrong = [role for role, _ in turns if role not in ("teacher", "student")]
    if wrong:
        raise ValueError(f"a turn's role is {wrong[0]!r}, not teacher or student")
    return Labelled(
        conversation=str(fields["conversation"]),
        problem=str(fields["problem"]),
        answer=str(fields["answer"]),
        turns=turns,
        rejected=fields["label"] == "REJECT",
        group=str(fields.get("group", "")),
    )


def _mrbench(fields: Mapping[str, Any], left_out: Counter[str]) -> Iterator[Labelled]:
    """Only those that say the problem and its solution; a wrong answer revealed is not a leak."""
    history = fields["conversation_history"].replace("\u00a0", " ")
    question = _QUESTION.search(_SPEAKER.split(history)[2]) if _SPEAKER.match(history) else None
    if question is None or fields["Ground_Truth_Solution"] == "Not Available":
        left_out["without problem or solution"] += len(fields["anno_llm_responses"])
        return
    for response in fields["anno_llm_responses"].values():
        label = response["annotation"][_REVEALS]
        yield Labelled(
            conversation=fields["conversation_id"],
            problem=question[1].strip(),
            answer=_last_line(fields["Ground_Truth_Solution"]),
            turns=(*_talk(history)[1:], ("teacher", response["response"])),
            rejected=label == _CORRECT,
            group=label,
        )


def _talk(history: str) -> Turns:
    """Turns of a history; turns of one speaker in a row are one."""
    parts = _SPEAKER.split(history)[1:]
    turns: list[tuple[str, str]] = []
    for who, words in zip(parts[::2], parts[1::2], strict=True):
        role = "student" if who.lower() == "student" else "teacher"
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n{words.strip()}")
        else:
            turns.append((role, words.strip()))
    return tuple(turns)


def _mathdial(fields: Mapping[str, Any]) -> Iterator[Labelled]:
    """Each tutor turn; the student's wrong solution opens the conversation."""
    turns: list[tuple[str, str]] = [("student", fields["student_incorrect_solution"].strip())]
    for number, turn in enumerate(fields["conversation"].split("|EOM|"), 1):
        found = _MOVE.fullmatch(turn)
        if found is None:
            raise ValueError(f"conversation: turn {number} names no speaker")
        teacher = found["who"].strip() == "Teacher"
        turns.append(("teacher" if teacher else "student", found["words"].strip()))
        if teacher:
            yield Labelled(
                conversation=f"{fields['qid']}/{fields.get('scenario', 0)}",
                problem=fields["question"].strip(),
                answer=_last_line(fields["ground_truth"]),
                turns=tuple(turns),
                rejected=found["move"] == "telling",
                group=found["move"] or "",
            )


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()
