"""Conversations of runs (or of MathDial) as rows to fine-tune on, one JSON object a line.

    python -m utils.sft_data RUN... --accepted --out FILE [--min-solve-rate 0.5]
    python -m utils.sft_data RUN... --pairs --out FILE [--min-margin 0.1]
    python -m utils.sft_data --mathdial FILE --out FILE

`--accepted` keeps conversations that every judge accepted, as `messages`.  `--pairs` sets better
against worse conversations of one problem, as `prompt`, `chosen` and `rejected`.  What is left out
is counted by reason.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from utils.data.rows.bad_rows import BadRow
from utils.data.sft.chat_rows import read_chat, read_pair
from utils.data.sft.mathdial import read_mathdial
from utils.data.sft.tutor_prompt import TutorPrompt
from utils.gains import rate_afterwards
from utils.records import ConversationRecord, counting
from utils.runs.read import Run, open_run

Message = dict[str, str]


@dataclass(slots=True)
class Harvest:
    """Rows that were kept, and how many were left out for which reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def write(self, path: Path) -> str:
        """Write the rows, whole or not at all; one line that says what was kept."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".tmp")
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        return f"{path}: {len(self.rows)} rows{self.left_out()}"

    def left_out(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
        return f"; left out: {reasons}" if reasons else ""


def accepted(runs: Sequence[Run], *, split: str = "train", min_solve_rate: float = 0.0) -> Harvest:
    """Conversations that every judge accepted, and whose student then solved the problem at
    least so often.  Conversations that nobody judged are not accepted.
    """
    harvest, seen = Harvest(), set()
    for _, record, prompt in _conversations(runs, split):
        reason = _not_acceptable(record, min_solve_rate)
        if reason is None:
            head, talk, opening = _spoken(record, prompt)
            try:
                read_chat({"messages": [*head, *talk]})
            except BadRow as error:
                reason = error.reason
            else:
                text = json.dumps([*head, *talk])
                reason = "repetitions" if text in seen else None
                seen.add(text)
        if reason is not None:
            harvest.dropped[reason] += 1
            continue
        harvest.rows.append({"messages": [*head, *talk], "opening": opening, **_origin(record)})
    return harvest


def pairs(runs: Sequence[Run], *, split: str = "train", min_margin: float = 0.0) -> Harvest:
    """Every two conversations of a group whose total rewards differ (by at least `min_margin`);
    the better one must have been accepted by all judges.
    """
    harvest = Harvest()
    groups: dict[tuple[object, ...], list[tuple[Run, ConversationRecord, TutorPrompt]]] = {}
    for run, record, prompt in _conversations(runs, split):
        # an evaluation's samples of one problem meet several students
        group = (run.folder, record.split, record.step, record.problem_id, record.student_persona)
        groups.setdefault(group, []).append((run, record, prompt))
    for members in groups.values():
        usable = []
        for _, record, prompt in members:
            reason = _unusable(record)
            if reason is None:
                usable.append((record, _spoken(record, prompt)))
            else:
                harvest.dropped[f"conversations {reason}"] += 1
        usable.sort(key=lambda c: -c[0].rewards["total"])
        for better, worse in itertools.combinations(usable, 2):
            row, reason = _pair(better, worse, min_margin)
            if row is not None:
                harvest.rows.append(row)
            elif reason:
                harvest.dropped[f"pairs {reason}"] += 1
    return harvest


def _conversations(
    runs: Sequence[Run], split: str
) -> Iterator[tuple[Run, ConversationRecord, TutorPrompt]]:
    for run in runs:
        prompt = TutorPrompt.of(run.config.get("generation") or {})
        for record in run.records:  # in the order of their keys
            if split in ("all", record.split):
                yield run, record, prompt


def _unusable(record: ConversationRecord) -> str | None:
    """Why a conversation says nothing about a good tutor, whatever its judges said."""
    if record.excluded or not record.rewards:
        return "without a reward"
    if record.help:
        return "whose tutor was given its words"
    if record.session:
        return "about several problems"
    if any(m.role == "teacher" and m.stop_reason == "length" for m in record.messages):
        return "with a tutor's turn cut off"
    return None


def _judged_wanting(record: ConversationRecord) -> str | None:
    """Why a conversation was not accepted by all judges, or None if it was."""
    decisions = [verdict.decision for verdict in counting(record.verdicts)]
    if not decisions:
        return "not judged"
    if "REJECT" in decisions:
        return "rejected by a judge"
    return "with a missing verdict" if None in decisions else None


def _not_acceptable(record: ConversationRecord, min_solve_rate: float) -> str | None:
    reason = _unusable(record) or _judged_wanting(record)
    if reason is None and min_solve_rate > 0 and (rate_afterwards(record) or 0.0) < min_solve_rate:
        return "not solved often enough"
    return reason


def _spoken(
    record: ConversationRecord, prompt: TutorPrompt
) -> tuple[list[Message], list[Message], str]:
    """(what stood before the tutor's first turn, the turns to the tutor's last, stand-in user).

    The tutor's turns are as written, with their thinking; the student's as the tutor saw them.
    """
    name = record.student_name
    head = [prompt.system(record.problem, record.answer, name, record.student_persona)]
    turns = [m for m in record.messages if m.heard]
    if turns and turns[0].role == "student":
        head.append(prompt.attempt(record.problem, turns.pop(0).visible, name))
    while turns and turns[-1].role == "student":  # nothing to learn from what nobody answered
        turns.pop()
    talk = [
        {"role": "assistant", "content": m.content.strip()}
        if m.role == "teacher"
        else {"role": "user", "content": m.visible.strip()}
        for m in turns
    ]
    return head, talk, prompt.stand_in(record.problem, name)


def _origin(record: ConversationRecord) -> dict[str, Any]:
    return {
        "id": f"{record.run}/{record.split}/{record.step}/{record.problem_id}/{record.sample}",
        "source": record.source,
        "problem": record.problem,
        "answer": record.answer,
        "solve_rate": rate_afterwards(record),
        "reward": record.rewards["total"],
    }


_Told = tuple[ConversationRecord, tuple[list[Message], list[Message], str]]


def _pair(better: _Told, worse: _Told, margin: float) -> tuple[dict[str, Any] | None, str | None]:
    (good, (head, chosen, opening)), (bad, (other_head, rejected, _)) = better, worse
    difference = good.rewards["total"] - bad.rewards["total"]
    if difference <= 0 or difference < margin:
        return None, "of like reward"
    if _judged_wanting(good):
        return None, "whose better one was not accepted"
    if head != other_head:
        return None, "with different prompts"
    row = {"prompt": head, "chosen": chosen, "rejected": rejected, "opening": opening}
    try:
        read_pair(row)
    except BadRow as error:
        return None, error.reason
    origin = _origin(good) | {"margin": round(difference, 6)}
    return row | origin | {"rejected_sample": bad.sample}, None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m utils.sft_data", allow_abbrev=False)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run folders")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--accepted", action="store_true", help="conversations all judges accepted")
    kind.add_argument("--pairs", action="store_true", help="better and worse of one problem")
    kind.add_argument("--mathdial", metavar="FILE", help="MathDial's JSON Lines")
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument("--split", choices=("train", "eval", "all"), default="train")
    parser.add_argument("--min-solve-rate", type=float, default=0.0)
    parser.add_argument("--min-margin", type=float, default=0.0)
    given = parser.parse_args(arguments)
    if bool(given.runs) == bool(given.mathdial):
        parser.error("give run folders, or --mathdial FILE")
    try:
        harvest = _harvest(given)
        if not harvest.rows:
            raise ConfigError(f"{given.out}: not written, no row is left{harvest.left_out()}")
        print(harvest.write(Path(given.out)))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _harvest(given: argparse.Namespace) -> Harvest:
    if given.mathdial:
        return Harvest(*read_mathdial(Path(given.mathdial)))
    runs = [open_run(folder) for folder in given.runs]
    if given.pairs:
        return pairs(runs, split=given.split, min_margin=given.min_margin)
    return accepted(runs, split=given.split, min_solve_rate=given.min_solve_rate)
