"""The one record: a conversation, complete enough to recompute every reward, metric and page.

JSON Lines, one conversation a line, in `conversations.jsonl`.  While a batch runs, lines go to a
journal as conversations finish; when it is whole they are settled into the record in canonical
order, so that the file does not depend on who finished first.  A field added later has a default.

    python -m utils.records check FILE_OR_RUN_FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.post_tests import Test
from config.schema import LEAK_RULE

SCHEMA = 1
Split = Literal["train", "eval", "human"]  # human: a person took part (src/sit_in)
Ending = Literal["tutor_ended", "student_ended", "max_turns", "max_tokens", "error"]
RECORD_NAME = "conversations.jsonl"
JOURNAL_NAME = "conversations.journal.jsonl"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VerdictRecord(_Model):
    """One judge's answer to one rule; `decision` None is a missing verdict."""

    decision: Literal["OK", "REJECT"] | None
    reasoning: str = ""
    raw: str = ""
    attempts: int = 1
    counts: bool = True  # false: only reported, never a reason to reject
    problem: int = 0  # which one of a session it is about


class Message(_Model):
    """One turn: as written, and what the others saw of it."""

    role: Literal["teacher", "student"]
    speaker: str = ""  # a peer's name; empty: the role's own voice
    content: str
    visible: str
    tokens: int = 0
    stop_reason: Literal["stop", "length"] = "stop"
    out_of_room: bool = False  # cut by what the conversation had left, not by the turn's own cap
    verdicts: dict[str, VerdictRecord] = Field(default_factory=dict)  # of rules of single turns
    withheld: bool = False  # it failed them, and nobody saw it
    cost: float = 0.0  # what it pays for that, in advantage
    scripted: bool = False  # the complaint that takes the place of an answer to a withheld turn
    problem: int = 0  # which one of a session it is about

    @property
    def failed(self) -> bool:
        """Whether a rule that counts does not say OK: a verdict that never came is no OK."""
        return any(v.counts and v.decision != "OK" for v in self.verdicts.values())

    @property
    def heard(self) -> bool:
        """Whether tutor and student said it to each other."""
        return not self.withheld and not self.scripted

    @property
    def earns(self) -> bool:
        """Whether turn credit gives it its share of the outcome."""
        return not self.withheld and not self.cost


def counting(verdicts: Mapping[str, Sequence[VerdictRecord]]) -> list[VerdictRecord]:
    """Of verdicts by rule, those that count: a rule that is only reported has none."""
    return [verdict for found in verdicts.values() for verdict in found if verdict.counts]


class Solution(_Model):
    """One attempt of the student at the whole problem; `answer` is its last box, if any."""

    text: str
    answer: str | None = None
    correct: bool = False
    score: float | None = None  # by a reward model, where one is configured


class TransferTest(_Model):
    """The post-test on another problem of the same kind, and the same asked before."""

    problem: str
    answer: str
    tutor_hidden: bool = True  # each tutor turn read "(hidden)" in it
    initial_solutions: list[Solution] = Field(default_factory=list)
    solutions: list[Solution] = Field(default_factory=list)


class TaughtProblem(_Model):
    """A problem that the tutor talked about in a session; the session's last one is the record's.

    What was said and judged of the n-th one are the messages and verdicts with `problem` n.
    """

    problem_id: str
    problem: str
    answer: str
    stop_reason: Ending | None = None  # how the talk about it ended; None: it was not come to
    alone: list[Solution] = Field(default_factory=list)  # before the tutor said a word about it
    solutions: list[Solution] = Field(default_factory=list)  # after the talk about it


class Trajectory(_Model):
    """The tutor's tokens as sampled; the three lists after the prompt have one length.

    `mask` is 1 exactly on sampled tutor tokens; `logprobs` is None where the mask is 0.
    """

    prompt_ids: list[int]
    completion_ids: list[int]
    mask: list[int]
    logprobs: list[float | None]


class Usage(_Model):
    """What one role was paid for."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class ConversationRecord(_Model):
    """One conversation, from the problem to the rewards."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    run: str = ""
    split: Split = "train"
    step: int = 0
    problem_id: str
    sample: int = 0
    problem: str
    answer: str
    source: str = ""
    extra: dict[str, Any] = Field(default_factory=dict)  # the problem's other columns
    type: Literal["guided", "attempted"] = "guided"
    student_name: str | None = None
    student_persona: str = ""  # the student's name in the settings
    student_kind: str = ""  # plain, archetype, misconception, adversarial; empty: not said
    student_held_out: bool = False  # met in evaluation alone
    student_rounds: int = 0  # of pressure that an adversarial student makes
    misconception_answer: str | None = None  # what its misconception says of this problem
    help: str = ""  # where students are measured: targeted, misaligned or generic
    seed: int = 0
    messages: list[Message] = Field(default_factory=list)
    stop_reason: Ending = "max_turns"
    error: str | None = None
    verdicts: dict[str, list[VerdictRecord]] = Field(default_factory=dict)
    leak_rule: str = LEAK_RULE  # whose REJECTs are leaks
    accepted_only: bool = False  # solved only if accepted, so its solve rate stands for those alone
    initial_solutions: list[Solution] = Field(default_factory=list)
    solutions: list[Solution] = Field(default_factory=list)
    transfer: TransferTest | None = None  # where a post-test asks about another problem
    session: list[TaughtProblem] = Field(default_factory=list)  # what came before this problem
    rewards: dict[str, float] = Field(default_factory=dict)  # empty: left out of its group
    excluded: str | None = None  # why it was left out
    ped_rm: list[float] = Field(default_factory=list)  # of each tutor turn; empty: not scored
    ped_rm_prompt: str = ""  # the digest of what the classifier was told
    trajectory: Trajectory | None = None
    timing: dict[str, float] = Field(default_factory=dict)
    usage: dict[str, Usage] = Field(default_factory=dict)

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    @property
    def key(self) -> tuple[str, int, str, int]:
        """What names a conversation within a run."""
        return (self.split, self.step, self.problem_id, self.sample)

    def tested(self, test: Test) -> tuple[list[Solution], list[Solution]]:
        """Solutions before and after: of the problem itself, or of the other one."""
        if test == "same":
            return self.initial_solutions, self.solutions
        found = self.transfer
        return (found.initial_solutions, found.solutions) if found is not None else ([], [])

    def to_json(self) -> str:
        """One line, without the line end."""
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, line: str) -> ConversationRecord:
        return cls.model_validate_json(line)


def read(path: Path, *, torn_tail: bool = False) -> Iterator[ConversationRecord]:
    """Conversations of one file, in its order.

    Raises ValueError naming file and line; with `torn_tail`, an unfinished last line is skipped.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if torn_tail and not line.endswith("\n"):
                return
            try:
                yield ConversationRecord.from_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "line"
                raise ValueError(f"{path}:{number}: {where}: {first['msg']}") from None


def load_run(folder: Path) -> list[ConversationRecord]:
    """Every finished conversation of a run folder, settled or still in the journal."""
    found: dict[tuple[str, int, str, int], ConversationRecord] = {}
    others = sorted(folder.glob("conversations.node*.jsonl"))
    for path in (folder / RECORD_NAME, folder / JOURNAL_NAME, *others):
        if path.exists():
            for conversation in read(path, torn_tail=True):
                found.setdefault(conversation.key, conversation)
    return list(found.values())


def record_files(path: Path) -> list[Path]:
    """The settled record files of a run folder, or the file itself."""
    if not path.is_dir():
        return [path]
    others = sorted(path.glob("conversations.node*.jsonl"))
    return [file for file in (path / RECORD_NAME, *others) if file.is_file()]


def check(path: Path) -> list[str]:
    """What is wrong with a record file, a line each; empty where nothing is."""
    problems: list[str] = []
    seen: set[tuple[str, int, str, int]] = set()
    try:
        for number, conversation in enumerate(read(path), 1):
            if conversation.key in seen:
                problems.append(f"{path}:{number}: conversation {conversation.key} stands twice")
            seen.add(conversation.key)
            problems += [f"{path}:{number}: {p}" for p in _inconsistencies(conversation)]
    except (OSError, ValueError) as error:
        problems.append(str(error))
    return problems


def _inconsistencies(conversation: ConversationRecord) -> Iterable[str]:
    row = conversation.trajectory
    if row is not None:
        lengths = {len(row.completion_ids), len(row.mask), len(row.logprobs)}
        if len(lengths) != 1:
            yield f"trajectory: ids, mask and logprobs differ in length: {sorted(lengths)}"
        elif any((m == 1) != (p is not None) for m, p in zip(row.mask, row.logprobs, strict=True)):
            yield "trajectory: a logprob where the mask is 0, or none where it is 1"
    places = {m.problem for m in conversation.messages}
    places |= {v.problem for found in conversation.verdicts.values() for v in found}
    if places and max(places) >= max(1, len(conversation.session)):
        yield "session: a message or a verdict about a problem that it does not have"
    parts = {k: v for k, v in conversation.rewards.items() if k != "total"}
    total = conversation.rewards.get("total")
    if total is not None and abs(total - sum(parts.values())) > 1e-9:
        yield f"rewards: total {total} is not the sum {sum(parts.values())}"


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] != "check":
        print("usage: python -m utils.records check FILE_OR_RUN_FOLDER", file=sys.stderr)
        return 2
    files = record_files(Path(arguments[1]))
    if not files:
        print(f"{arguments[1]}: there is no {RECORD_NAME} in this folder", file=sys.stderr)
        return 1
    found = {path: check(path) for path in files}
    for path, problems in found.items():
        for problem in problems:
            print(problem, file=sys.stderr)
        if not problems:
            print(f"{path}: {sum(1 for _ in read(path))} conversations, all valid")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
