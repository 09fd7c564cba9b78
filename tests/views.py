"""What each role is shown of a scripted conversation, reduced to its structure.

A view is a list of lines, one a message: `role: part + part`.  A part is a prompt with the names
that it was given, `teacher_prompt_path(problem)`, or a turn and what of it can be read,
`teacher#1+plan+tags+end`.  Turns are written SAY1, REPLY2 or ATTEMPT1, planning PLAN1.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, meta

from config.schema import GenerationSettings, RewardModelSettings
from src.classroom import Classroom
from src.dialog.judges import build_judges
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.inference_providers.scripted import Ask, ScriptedProvider
from src.models.ped_rm import RatingPrompt, rated_turns
from tests.conftest import ROOT
from tests.fakes import ASSISTANT, END, SYSTEM, USER, participant
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.rewards import RewardSettings

PROBLEM, ANSWER, NAME = "PROBLEMTEXT", "ANSWERTEXT", "Kim"
OK = '{"reasoning": "r", "decision": "OK"}'
RULES = ("does_not_leak_answer", "follows_pedagogical_values")
LIMITS = {
    "max_tokens_per_turn": 1024,
    "max_tokens_per_student_attempt": 3900,
    "max_tokens_per_judge_attempt": 2048,
}
_ROLES = {SYSTEM: "system", USER: "user", ASSISTANT: "assistant"}
_TURN = re.compile(r"(SAY|REPLY|ATTEMPT)(\d+)")
_PROMPT = re.compile(r"\{\{(\S+)((?: \w+)*)\}\}|(\{\[|\]\})")

Lines = list[str]


@dataclass(slots=True, kw_only=True)
class Seen:
    """One scripted conversation: what was shown at each stage, and to how many requests."""

    record: ConversationRecord
    views: dict[str, Lines] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    asks: dict[str, list[Ask]] = field(default_factory=lambda: defaultdict(list))


def marking_prompts(folder: Path) -> dict[str, Any]:
    """A file for each prompt setting that says which it is, and which names it is given.

    Only names that the shipped file uses: what nobody reads is shown to nobody.
    """
    shipped, made = GenerationSettings(), dict[str, Any]()

    def mark(key: str, path: str) -> str:
        used = meta.find_undeclared_variables(Environment().parse((ROOT / path).read_text()))
        held = {"attempt", "transcript"} & used
        names = "".join(f"{{% if {n} %}} {n}{{% endif %}}" for n in sorted(used - held))
        needed = "".join(f"{{# {{{{ {n} }}}} #}}" for n in sorted(used))
        inside = "".join(f"{{{{ '{{[' }}}}{{{{ {n} }}}}{{{{ ']}}' }}}}" for n in sorted(held))
        file = folder / f"{key}.txt"
        file.write_text(f"{{{{ '{{{{' }}}}{key}{names}{{{{ '}}}}' }}}}{inside}{needed}")
        return str(file)

    for key, value in vars(shipped).items():
        if key == "judges_rules_prompts_paths" or key == "student_personas_prompts_paths":
            made[key] = {n: mark(f"{key}.{n}", path) for n, path in value.items()}
        elif key.endswith("_path"):
            made[key] = mark(key, value)
    personas = made["student_personas_prompts_paths"]
    made["student_personas_prompts_paths"] = {"simple_student": personas["simple_student"]}
    return made


Log = list[tuple[str, Ask]]  # (role, request), in order


def hold(
    settings: GenerationSettings, tutor: Sequence[str], student: Sequence[str]
) -> tuple[ConversationRecord, Log]:
    """One conversation in which the roles say these turns, and every request of it."""
    if settings.force_thinking:  # the opening tag is given
        tutor = [turn.removeprefix("<think>") for turn in tutor]
    log: Log = []
    turns = {"teacher": iter(tutor), "student": iter(student)}

    def says(role: str) -> ScriptedProvider:
        def answer(ask: Ask) -> str:
            log.append((role, ask))
            if role == "judge":
                return OK
            exam = ask.sampling.max_tokens == LIMITS["max_tokens_per_student_attempt"]
            return "\\boxed{1}" if exam else next(turns[role])

        return ScriptedProvider(answer, name=role)

    people = {role: participant(role, says(role)) for role in ("teacher", "student", "judge")}
    room = Classroom(
        settings,
        Participants(
            teacher=people["teacher"],
            student=people["student"],
            judges=build_judges(settings, people["judge"]),
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=1,
        evaluation=True,
    )
    problem = Problem(id="p", text=PROBLEM, answer=ANSWER)
    [record] = asyncio.run(room.run([problem], samples=1))
    return record, log


def scene(kind: str, **settings: Any) -> GenerationSettings:
    """Settings of a scripted conversation of this kind."""
    values: dict[str, Any] = {"max_turns": 16, "student_names": [NAME]}
    values |= {"number_student_attempts": 2, "number_judge_attempts": 1}
    values |= {"number_initial_attempts": 2, "forced_conversation_type": kind}
    return GenerationSettings(**(LIMITS | values | settings))


def watch(
    folder: Path, kind: str, tutor: Sequence[str], student: Sequence[str], **settings: Any
) -> Seen:
    """Hold one conversation under prompts that mark themselves, and see what was shown."""
    made = scene(kind, **(marking_prompts(folder) | settings))
    record, log = hold(made, tutor, student)
    return _sorted_by_stage(record, log, kind)


def _sorted_by_stage(record: ConversationRecord, log: Log, kind: str) -> Seen:
    seen, said = Seen(record=record), Counter[str]()
    for role, ask in log:
        messages = messages_of(ask.prompt_ids or ())
        if role == "judge":
            stage = "judge " + next(rule for rule in RULES if rule in messages[0][1])
        elif ask.sampling.max_tokens == LIMITS["max_tokens_per_student_attempt"]:
            stage = "initial attempt" if len(messages) == 1 else "final solution"
        else:
            said[role] += 1
            first = kind == "attempted" and role == "student" and said[role] == 1
            stage = "opening attempt" if first else f"{role} turn {said[role]}"
        seen.views[stage] = lines_of(messages)
        seen.requests[stage] += 1
        seen.asks[role].append(ask)
    row = record.trajectory
    if row is not None:
        seen.views["trained on"] = lines_of(messages_of([*row.prompt_ids, *row.completion_ids]))
    chats = rated_turns(record, RatingPrompt(system="fixed"))
    for number, chat in enumerate(chats, 1):
        told = [(str(m["role"]), m["content"]) for m in chat]
        seen.views[f"Ped-RM, tutor turn {number}"] = lines_of(told)
    return seen


def messages_of(ids: Sequence[int]) -> list[tuple[str, str]]:
    """(role, content) of a prompt over bytes; nothing for a turn that is still to be written."""
    found: list[tuple[str, bytearray]] = []
    at: bytearray | None = None
    for token in ids:
        if token in _ROLES:
            at = bytearray()
            found.append((_ROLES[token], at))
        elif token == END:
            at = None
        elif at is not None:
            at.append(token)
    messages = [(role, text.decode()) for role, text in found]
    return messages[:-1] if messages and messages[-1] == ("assistant", "") else messages


def lines_of(messages: Sequence[tuple[str, str]]) -> Lines:
    return [f"{role}: {' + '.join(_parts(text)) or 'nothing'}" for role, text in messages]


def _parts(text: str) -> list[str]:
    """Prompts and turns in the order in which they stand; what a prompt holds stands in <>."""
    parts: list[str] = []
    inside, position = False, 0
    for mark in [*_PROMPT.finditer(text), None]:
        between = text[position : mark.start() if mark else len(text)]
        found = _turns(between)
        if inside:
            parts[-1] += ", ".join(found)
        else:
            parts += found
        if mark is None:
            break
        if mark[1] is not None:
            parts.append(f"{mark[1]}({','.join(mark[2].split())})")
        else:
            inside = mark[3] == "{["
            parts[-1] += "<" if inside else ">"
        position = mark.end()
    return parts


def _turns(text: str) -> list[str]:
    """Turns in a text; of a transcript with who is said to speak, once for each."""
    if not text.strip():
        return []
    if text.strip() == "fixed":
        return ["fixed()"]
    if text.startswith("Problem: "):
        shown = [n for n, v in (("problem", PROBLEM), ("answer", ANSWER)) if v in text]
        return [f"fixed({','.join(shown)})"]
    heads = re.split(r"Message \d+, (\w+):", text)
    if len(heads) == 1:
        return [turn(text)]
    return [f"{who} says {turn(said)}" for who, said in zip(heads[1::2], heads[2::2], strict=True)]


def turn(text: str) -> str:
    """`teacher#1+plan+tags+end`, or `tags` alone where only an opening tag stands."""
    found = _TURN.search(text)
    who = "" if found is None else "teacher" if found[1] == "SAY" else "student"
    name = f"{who}#{found[2]}" if found else ""
    seen = ("plan", "PLAN" in text), ("tags", "think>" in text), ("end", "<end_of" in text)
    return "+".join([name, *(n for n, there in seen if there)]).strip("+") or "nothing"
